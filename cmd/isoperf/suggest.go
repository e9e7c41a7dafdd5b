package main

import "github.com/spf13/cobra"

// nearest is the name most like word, or "".
func nearest(word string, names []string) string {
	probe := &cobra.Command{SuggestionsMinimumDistance: 3}
	for _, name := range names {
		probe.AddCommand(&cobra.Command{Use: name, Run: func(*cobra.Command, []string) {}})
	}
	if near := probe.SuggestionsFor(word); len(near) > 0 {
		return near[0]
	}
	return ""
}
