package html

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"isoperf/bench/sample"
	"isoperf/reports/compare"
	"isoperf/reports/page"
	"isoperf/reports/plot/specimen"
)

func report(t testing.TB, files ...*sample.File) string {
	t.Helper()
	var out bytes.Buffer
	if err := Report(&out, "", files); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// changed is a comparison in which all of isorun's figures are multiplied by a factor.
func changed(t testing.TB, factor float64) compare.Comparison {
	t.Helper()
	return against(t, specimen.Startup(60), specimen.Startup(60), factor)
}

// against is a comparison of two files that have the same samples.
func against(t testing.TB, base, head *sample.File, factor float64) compare.Comparison {
	t.Helper()
	base.Path, head.Path = "base.txt", "head.txt"
	for _, c := range head.Cases {
		for _, values := range c.Values {
			for i := range values {
				values[i] *= 1 + 0.004*math.Sin(float64(7*i)) // no copy
				if strings.Contains(c.Name, "runtime=isorun") {
					values[i] *= factor
				}
			}
		}
	}
	columns, err := compare.ByFile([]*sample.File{base, head})
	if err != nil {
		t.Fatal(err)
	}
	return compare.Compare(columns[0], columns[1], compare.Options{All: true})
}

func comparison(t testing.TB, all ...compare.Comparison) string {
	t.Helper()
	var out bytes.Buffer
	if err := Compare(&out, "", all); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// hostile is a file that tries to be more than words.
func hostile() *sample.File {
	f := specimen.Only(20, "Setns", "Clone")
	const script = `<script>window.hacked=1</script>`
	for i, evil := range []string{script, `"><img/src=x/onerror=window.hacked=1>`, "`'\"--><svg/onload=window.hacked=1>", `</title></style>` + script} {
		f.Cases[i].Name = "Evil" + strconv.Itoa(i) + evil + "/flag=" + evil
		f.Cases[i].Failures = []string{evil}
		f.Cases[i].Units = append(f.Cases[i].Units, evil+"-ns")
		f.Cases[i].Values[evil+"-ns"] = []float64{1, 2, 3}
	}
	for _, c := range f.Cases[4:] {
		c.Name = strings.Replace(c.Name, "flag=net", "flag=<b/onclick=window.hacked=1>", 1)
	}
	f.Config = append(slices.Clone(f.Config), sample.Pair{Key: "note", Value: script})
	f.Fingerprint = []byte(`{"version":"<script>window.hacked=1</script>","}</style><script>window.hacked=1</script>":1}`)
	f.NotMeasured = []sample.Note{{Case: script, Why: script}}
	f.Notes = []string{script}
	f.Path = script + ".txt"
	return f
}

// walk visits every element.
func walk(t testing.TB, text string, visit func(n *html.Node)) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for n := range root.Descendants() {
		if n.Type == html.ElementNode {
			visit(n)
		}
	}
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func words(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		}
	}
	return b.String()
}

// pages are all kinds of them.
func pages(t *testing.T) map[string]string {
	v2 := specimen.Only(10, "Setns")
	v2.Config = []sample.Pair{{Key: "cgroup", Value: "v2"}}
	fleet := []*sample.File{specimen.Only(10, "Setns"), specimen.Only(10, "Setns")}
	for i, f := range fleet {
		f.Config = []sample.Pair{{Key: "host", Value: []string{"node-a", "node-b"}[i]}}
	}
	return map[string]string{
		"fleet":    report(t, fleet...),
		"whole":    report(t, specimen.File(40)),
		"startup":  report(t, specimen.Startup(40)),
		"machines": report(t, specimen.Only(10, "Setns"), v2),
		"hostile":  report(t, hostile()),
		"compare":  comparison(t, changed(t, 1.1)),
		"attack":   comparison(t, against(t, hostile(), hostile(), 1)),
		"several":  comparison(t, changed(t, 1.1), changed(t, 1)),
	}
}

// A page has one script and one style, which its policy names; it loads nothing,
// and every link leads to a place on it.
func TestPageNeedsNothingElse(t *testing.T) {
	again := pages(t)
	for name, text := range pages(t) {
		t.Run(name, func(t *testing.T) {
			if again[name] != text {
				t.Error("the same files make another page")
			}
			if strings.Contains(text, "ZgotmplZ") {
				t.Error("the template refused a value")
			}
			ids, links, policy := map[string]bool{}, map[string]bool{}, ""
			var own []string
			walk(t, text, func(n *html.Node) {
				switch n.Data {
				case "script", "style":
					own = append(own, words(n))
				case "img", "link", "iframe", "object", "embed", "base", "form", "image", "use", "foreignobject":
					t.Errorf("the page has the element %s", n.Data)
				case "meta":
					if attribute(n, "http-equiv") == "Content-Security-Policy" {
						policy = attribute(n, "content")
					}
				}
				for _, a := range n.Attr {
					switch {
					case a.Key == "id" && ids[a.Val]:
						t.Errorf("two elements have the id %q", a.Val)
					case a.Key == "id":
						ids[a.Val] = true
					case a.Key == "href" && strings.HasPrefix(a.Val, "#"):
						links[a.Val[1:]] = true
					case a.Key == "href", a.Key == "src", a.Key == "style", strings.HasPrefix(a.Key, "on"):
						t.Errorf("<%s> has the attribute %s=%q", n.Data, a.Key, a.Val)
					}
				}
			})
			for to := range links {
				if !ids[to] {
					t.Errorf("a link leads to #%s, which is not on the page", to)
				}
			}
			if len(own) != 2 || !strings.HasPrefix(policy, "default-src 'none'; style-src "+digest(own[0])+"; script-src "+digest(own[1])+";") {
				t.Errorf("the policy %q is not that of the %d scripts and styles", policy, len(own))
			}
		})
	}
}

// Every table can be read out: a caption, headings with a scope, rows of one
// length; and every row and picture has a place of its own.
func TestTablesAndPicturesAreNamed(t *testing.T) {
	for name, text := range pages(t) {
		t.Run(name, func(t *testing.T) {
			tables := 0
			walk(t, text, func(n *html.Node) {
				switch {
				case n.Data == "table":
					tables++
					columns := 0
					for c := range n.Descendants() {
						switch {
						case c.Data == "caption" && words(c) == "":
							t.Error("a caption is empty")
						case c.Data == "th" && attribute(c, "scope") == "":
							t.Errorf("the heading %q has no scope", words(c))
						case c.Data == "tr" && columns == 0:
							columns = len(slices.Collect(c.ChildNodes()))
						case c.Data == "tr":
							if got := len(slices.Collect(c.ChildNodes())); got != columns || attribute(c, "id") == "" {
								t.Errorf("a row has %d cells of %d, and the id %q", got, columns, attribute(c, "id"))
							}
						}
					}
					if n.FirstChild == nil || !strings.Contains(words(n), "\n") || columns == 0 {
						t.Error("a table is empty")
					}
				case n.Data == "svg" && (attribute(n, "aria-label") == "" || attribute(n, "role") != "img"):
					t.Error("a picture has no words")
				}
			})
			if tables == 0 {
				t.Error("there is no table")
			}
		})
	}
}

// The page has all that the document has: every text, cell and picture.
func TestReportHasTheWholeDocument(t *testing.T) {
	f := specimen.File(40)
	d, err := page.NewDocument("", []*sample.File{f})
	if err != nil {
		t.Fatal(err)
	}
	text := report(t, f)
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	all := words(root)
	cells, pictures := map[string]int{}, 0
	walk(t, text, func(n *html.Node) {
		switch n.Data {
		case "td", "th":
			cells[words(n)]++
		case "figure":
			pictures++
		}
	})
	has := func(s string) {
		if !strings.Contains(all, s) {
			t.Errorf("the page lacks %q", s)
		}
	}
	for _, s := range append(d.Machines[0].Sections, d.Reproduce) {
		has(s.Heading)
		for _, b := range s.Blocks {
			has(b.Text.String())
			has(b.Code)
			for _, item := range b.List {
				has(item.String())
			}
			if b.Figure != nil {
				pictures--
			}
			if b.Table == nil {
				continue
			}
			for _, row := range append(b.Table.Rows, b.Table.Header) {
				for _, cell := range row {
					cells[cell]--
				}
			}
		}
	}
	if pictures != 0 {
		t.Errorf("the page has %d pictures more than the document", pictures)
	}
	for cell, n := range cells {
		if n != 0 {
			t.Errorf("the page has the cell %q %d times more than the document", cell, n)
		}
	}
}

// What is compared is on the page with its verdict, and several comparisons
// have places of their own.
func TestComparisonHasEveryRow(t *testing.T) {
	c := changed(t, 1.1)
	text := comparison(t, c)
	rows := 0
	verdicts := map[string]int{}
	walk(t, text, func(n *html.Node) {
		if n.Data == "tr" && attribute(n, "data-verdict") != "" {
			rows++
			verdicts[attribute(n, "data-verdict")]++
		}
	})
	if rows != len(c.Rows) {
		t.Errorf("%d rows of %d", rows, len(c.Rows))
	}
	for _, r := range c.Rows {
		verdicts[word(r.Verdict)]--
	}
	for verdict, n := range verdicts {
		if n != 0 {
			t.Errorf("the verdict %s stands %d times more than it was given", verdict, n)
		}
	}
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(words(root), c.Answer()) || !strings.Contains(words(root), c.Trust()) {
		t.Error("the answer is not on the page")
	}
}

func TestNothingIsAnError(t *testing.T) {
	if Report(&bytes.Buffer{}, "", nil) == nil || Compare(&bytes.Buffer{}, "", nil) == nil {
		t.Error("a page of nothing was written")
	}
}

// A million samples make a page of the size of any other.
func TestAMillionSamplesStaySmall(t *testing.T) {
	f := &sample.File{Path: "many.txt"}
	rare := func(i int) float64 { return 1 + 40*math.Pow(math.Mod(float64(i)*0.6180339887, 1), 30) }
	for _, name := range []string{"Startup/runtime=isorun/with=usual", "Startup/runtime=runc/with=usual", "Clone/flag=none/mode=vm", "Clone/flag=net/mode=vm", "Control/what=compute"} {
		unit := map[bool]string{true: "total-ns", false: "reap-ns"}[strings.HasPrefix(name, "Startup")]
		if strings.HasPrefix(name, "Control") {
			unit = "compute-ns"
		} else {
			name += "/pacing=burst"
		}
		c := &sample.Case{Name: name, Units: []string{unit}, Values: map[string][]float64{}}
		for i := range 200_000 {
			c.Values[unit] = append(c.Values[unit], 1e5*float64(1+len(name)%3)*rare(i))
		}
		f.Cases = append(f.Cases, c)
	}
	text := report(t, f)
	const most = 1 << 20
	if len(text) > most {
		t.Errorf("the page has %d bytes, more than %d", len(text), most)
	}
	if !strings.Contains(text, "1,000,000 samples") {
		t.Error("the page does not say how many samples there are")
	}
}

// A name keeps its place when others come and go, and no place has two names.
func TestNamesAreStable(t *testing.T) {
	ids := names{}
	for _, c := range []struct{ words, want string }{
		{"reap-ns of Clone/flag=…/mode=vm", "reap-ns-of-clone-flag-mode-vm"},
		{"<script>", "script"}, {"<script>", "script-2"}, {"…", "it"}, {"", "it-2"},
		{strings.Repeat("a", 500), strings.Repeat("a", 120)}, {strings.Repeat("a", 501), strings.Repeat("a", 120) + "-2"},
	} {
		if got := ids.name(c.words); got != c.want {
			t.Errorf("%.40q is called %q instead of %q", c.words, got, c.want)
		}
	}
}

// Letters can be read in the dark, too: the contrast of every ink that words are
// set in is 4.5 to 1 at least.
func TestInksCanBeRead(t *testing.T) {
	light := func(rgb string) float64 {
		n, err := strconv.ParseUint(rgb, 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		return 0.2126*linear(n>>16) + 0.7152*linear(n>>8) + 0.0722*linear(n)
	}
	contrast := func(a, b string) float64 {
		x, y := light(a), light(b)
		return (max(x, y) + 0.05) / (min(x, y) + 0.05)
	}
	for _, ink := range []string{"1a1a1a", "5f5f5f", "0072b2", "bd4a00", "00805e", "ad5187", "946200"} {
		for _, ground := range []string{"ffffff", "f6f6f6"} {
			if got := contrast(ink, ground); got < 4.5 {
				t.Errorf("%s on %s has the contrast %.2f", ink, ground, got)
			}
			if got := contrast(darkInk(ink), darkInk(ground)); got < 4.5 {
				t.Errorf("%s on %s has in the dark (%s on %s) the contrast %.2f", ink, ground, darkInk(ink), darkInk(ground), got)
			}
		}
	}
	if fmt.Sprint(darkInk("ffffff") < "202020", darkInk("1a1a1a") > "e00000") != "true true" {
		t.Errorf("white becomes %s and black %s", darkInk("ffffff"), darkInk("1a1a1a"))
	}
}
