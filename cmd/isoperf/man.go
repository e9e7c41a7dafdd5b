package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func (c *cli) man() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the man pages into a folder",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return cannot(fmt.Errorf("make the folder of man pages: %w", err))
			}
			header := &doc.GenManHeader{Section: "1", Source: "isoperf", Manual: "isoperf"}
			cmd.Root().DisableAutoGenTag = true
			if err := doc.GenManTree(cmd.Root(), header, args[0]); err != nil {
				return cannot(fmt.Errorf("write man pages: %w", err))
			}
			return nil
		},
	}
}
