package page

import (
	"fmt"
	"slices"
	"strings"
)

// Text is a sentence in pieces, so that each kind of page can set it safely:
// what stands in a result file never becomes markup.
type Text []Span

// Span is a piece of a text in one style.
type Span struct {
	Text  string
	Style Style
	own   bool // the page's own words; anything else came from a file
}

// Style is how a span is set.
type Style int

// The styles.
const (
	Plain  Style = iota
	Strong       // what a finding is about
	Code         // a name of a case, a unit, a call
)

// String is the text without any style.
func (t Text) String() string {
	var b strings.Builder
	for _, s := range t {
		b.WriteString(s.Text)
	}
	return b.String()
}

// words is a text of the page's own: **strong** and `code`.
func words(markup string) Text { return textf(strings.ReplaceAll(markup, "%", "%%")) }

// textf puts arguments in the places of %s in a text of the page's own. Their
// words are taken as they are, whatever they hold, in the style of the place;
// a Text keeps its styles.
func textf(format string, args ...any) Text {
	var t Text
	style := Plain
	toggle := func(s Style) {
		if style == s {
			s = Plain
		}
		style = s
	}
	var piece strings.Builder
	flush := func() {
		if piece.Len() > 0 {
			t = append(t, Span{piece.String(), style, true})
			piece.Reset()
		}
	}
	for i := 0; i < len(format); i++ {
		switch {
		case format[i] == '`':
			flush()
			toggle(Code)
		case style != Code && strings.HasPrefix(format[i:], "**"):
			flush()
			toggle(Strong)
			i++
		case strings.HasPrefix(format[i:], "%%"):
			piece.WriteByte('%')
			i++
		case strings.HasPrefix(format[i:], "%s"):
			flush()
			i++
			if len(args) == 0 {
				panic(fmt.Sprintf("text %q: an argument is missing", format))
			}
			if spans, ok := args[0].(Text); ok {
				t = append(t, spans...)
			} else {
				t = append(t, Span{Text: fmt.Sprint(args[0]), Style: style})
			}
			args = args[1:]
		default:
			piece.WriteByte(format[i])
		}
	}
	flush()
	return t
}

// add goes on with a text.
func (t *Text) add(format string, args ...any) { *t = append(*t, textf(format, args...)...) }

// join is strings.Join.
func join(parts []Text, between string) Text {
	var t Text
	for i, p := range parts {
		if i > 0 {
			t = append(t, Span{between, Plain, true})
		}
		t = append(t, p...)
	}
	return t
}

// Words is a text of a page's own, with **strong** and `code`; never of what a
// file says.
func Words(markup string) Text { return words(markup) }

// With goes on with what a file says.
func (t Text) With(data string) Text { return append(slices.Clone(t), Span{Text: data}) }
