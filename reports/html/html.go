// Package html writes a report or a comparison as one page that needs nothing
// else: no network, no font, no server.
//
//	result files ──page.NewDocument──► Document ──Report──┐
//	Comparison ──Compare─────────────────────────────────┤
//	                                                      ▼
//	              view: leads, sections, tables, pictures ──page.tmpl──► HTML
//	                    ids of everything            style.css, script.js within
//
// The page is complete without its script, which adds sorting, filters, values
// under the pointer and a switch between light and dark. What a result file says
// reaches the page through html/template, and the page's own policy lets run
// nothing but its one script, by its hash.
package html

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"

	"isoperf/reports/page"
)

//go:embed page.tmpl
var pageTemplate string

//go:embed style.css
var pageStyle string

//go:embed script.js
var pageScript string

// view is the whole page.
type view struct {
	Title  string
	Policy string
	Style  template.CSS
	Script template.JS
	Parts  []part
}

// part is a machine of a report, or a comparison.
type part struct {
	ID       string
	Heading  string // "" where there is only one
	About    page.Text
	Lead     lead
	Sections []section
}

// lead is what stands first: the answer.
type lead struct {
	Verdict  string // a word that is also the colour's name: "slower"; "" for none
	Headline []string
	Trust    string
	Warnings []string
}

type section struct {
	ID      string
	Heading string
	Fold    string // it is closed until these words are asked for; "" for always open
	Blocks  []block
}

// block is one of its fields.
type block struct {
	Text   page.Text
	List   []page.Text
	Table  *grid
	Figure *picture
	Code   string
}

type picture struct {
	ID, Title string
	SVG       template.HTML
}

// write fills the template.
func (v view) write(w io.Writer, inks map[string]bool) error {
	t, err := template.New("page").Funcs(template.FuncMap{
		"strong": func(s page.Span) bool { return s.Style == page.Strong },
		"code":   func(s page.Span) bool { return s.Style == page.Code },
	}).Parse(pageTemplate)
	if err != nil {
		return fmt.Errorf("read the page's template: %w", err)
	}
	v.Style = template.CSS(pageStyle + inkStyle(slices.Sorted(maps.Keys(inks))))
	v.Script = template.JS(pageScript)
	v.Policy = fmt.Sprintf("default-src 'none'; style-src %s; script-src %s; base-uri 'none'; form-action 'none'", digest(string(v.Style)), digest(pageScript))
	if err := t.Execute(w, v); err != nil {
		return fmt.Errorf("write the page %q: %w", v.Title, err)
	}
	return nil
}

// digest names a text in the page's policy.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// names gives everything on the page an id of its own, which stays the same as
// long as what it names does.
type names map[string]bool

// name makes an id of words: "reap-ns of Clone" becomes "reap-ns-of-clone".
func (n names) name(words string) string {
	const most = 120
	id := slug(words)
	id = strings.TrimRight(id[:min(len(id), most)], "-")
	if id == "" {
		id = "it"
	}
	free := id
	for i := 2; n[free]; i++ {
		free = fmt.Sprintf("%s-%d", id, i)
	}
	n[free] = true
	return free
}

// slug keeps letters, digits and a few signs.
func slug(words string) string {
	var b strings.Builder
	gap := false
	for _, c := range strings.ToLower(words) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '_' {
			if gap && b.Len() > 0 {
				b.WriteByte('-')
			}
			b.WriteRune(c)
			gap = false
			continue
		}
		gap = true
	}
	return b.String()
}
