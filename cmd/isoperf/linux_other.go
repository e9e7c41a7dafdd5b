//go:build !linux

package main

import (
	"runtime"

	"github.com/spf13/cobra"
)

// elsewhere stands for a command that measures Linux.
func elsewhere(use, short string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short + " (Linux only)",
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usage("%s measures Linux and cannot run on %s; isoperf report works here, on files from a Linux machine", cmd.Name(), runtime.GOOS)
		},
	}
}

func (c *cli) doctor() *cobra.Command { return elsewhere("doctor", "Say what can be measured here") }
func (c *cli) verify() *cobra.Command {
	return elsewhere("verify", "Say whether the limits of control groups are kept")
}
func (c *cli) run() *cobra.Command {
	return elsewhere("run", "Run a command in a container")
}
func (c *cli) unpack() *cobra.Command {
	cmd := elsewhere("unpack", "Unpack a root file system")
	cmd.Hidden = true
	return cmd
}
func (c *cli) list() *cobra.Command {
	return elsewhere("list", "List the cases that bench can measure")
}
func (c *cli) bench() *cobra.Command { return elsewhere("bench", "Measure, and write a result file") }
func (c *cli) ab() *cobra.Command {
	return elsewhere("ab", "Measure two builds, runtimes or commands in turns")
}
func (c *cli) trace() *cobra.Command {
	return elsewhere("trace", "Profile the isolation calls of any command and its children")
}
