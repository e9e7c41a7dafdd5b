package table

import "strings"

// Wrap is a sentence in ASCII, broken at spaces into lines of at most width
// columns; what continues is indented. Two spaces set a first word apart, and are
// kept. A word that is longer than a line stays whole.
func Wrap(sentence string, width int) string {
	var b strings.Builder
	column := 0
	const wide = "\x00"
	for i, word := range strings.Fields(strings.ReplaceAll(ASCII(sentence), "  ", wide+" ")) {
		word = strings.ReplaceAll(word, wide, " ")
		switch {
		case i > 0 && column+1+len(word) > width:
			b.WriteString("\n  " + word)
			column = 2 + len(word)
		case i > 0:
			b.WriteString(" " + word)
			column += 1 + len(word)
		default:
			b.WriteString(word)
			column = len(word)
		}
	}
	return b.String()
}
