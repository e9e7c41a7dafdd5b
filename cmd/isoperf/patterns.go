package main

import (
	"path"
	"strings"
	"unicode"
)

// listName is how list and patterns spell a case: "sweep-gap/gap=1ms/flag=net"
// for SweepGap/gap=1ms/flag=net.
func listName(name string) string {
	first, rest, _ := strings.Cut(name, "/")
	var b strings.Builder
	var last rune
	for _, r := range first {
		if unicode.IsUpper(r) && unicode.IsLower(last) { // RTT is one word
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
		last = r
	}
	return b.String() + "/" + rest
}

// matches says whether a pattern names a case: as a prefix that ends at a
// slash or at the end, or as a glob.
func matches(pattern, name string) bool {
	pattern, name = strings.TrimSuffix(strings.ToLower(pattern), "/"), strings.ToLower(name)
	if strings.ContainsAny(pattern, "*?[") {
		// A glob may stop before the end of the name, as a prefix may.
		parts := strings.Count(pattern, "/") + 1
		head := strings.Join(strings.SplitN(name, "/", parts+1)[:min(parts, strings.Count(name, "/")+1)], "/")
		ok, err := path.Match(pattern, head)
		return ok && err == nil
	}
	return name == pattern || strings.HasPrefix(name, pattern+"/")
}
