package page

import "testing"

func TestTextKeepsWhatAFileSaysAsWords(t *testing.T) {
	for _, c := range []struct {
		text                  Text
		plain, markdown, note string
	}{
		{words("**Trust** in `a*b` at 100 %"), "Trust in a*b at 100 %", "**Trust** in `a*b` at 100 %", "the page's own marks"},
		{textf("**%s**: `%s` %s", "a*b", "x_y", "<b>"), "a*b: x_y <b>", "**a\\*b**: `x_y` &lt;b>", "a style is that of the place"},
		{textf("`%s`", "a`<script>"), "a`<script>", "`` a`<script> ``", "no name ends its code"},
		{textf("%s.", join([]Text{textf("`%s`", "a"), textf("`%s` x", "b")}, "; ")), "a; b x.", "`a`; `b` x.", "a text keeps its styles"},
		{textf("**%s's**", "it"), "it's", "**it's**", "pieces of one style share its marks"},
		{textf("%s", "one\n# two"), "one\n# two", "one # two", "a newline is a space"},
	} {
		if got := c.text.String(); got != c.plain {
			t.Errorf("%s: %q instead of %q", c.note, got, c.plain)
		}
		if got := c.text.markdown(); got != c.markdown {
			t.Errorf("%s: Markdown %q instead of %q", c.note, got, c.markdown)
		}
	}
}
