package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"isoperf/bench/harness"
)

func (c *cli) list() *cobra.Command {
	return &cobra.Command{
		Use:   "list [PATTERN…]",
		Short: "List the cases that bench can measure",
		Long: `List the cases that bench can measure, one name a line. A pattern is a family,
the beginning of a name, or a glob.`,
		Example: `  isoperf list
  isoperf list clone/flag=net
  isoperf list 'clone/*/mode=fork'`,
		RunE: func(_ *cobra.Command, args []string) error {
			all := unmeasured()
			cases, err := choose(all, harness.Full(), args)
			if err != nil {
				return err
			}
			for _, ch := range cases {
				fmt.Fprintln(c.stdout, listName(ch.Name))
			}
			if len(args) == 0 {
				fmt.Fprintln(c.stderr)
				for _, f := range families(all) {
					d := harness.Estimate(f.cases(harness.Full())).Round(time.Second)
					fmt.Fprintf(c.stderr, "%-17s %s (about %v)\n", f.name, f.about, d)
				}
			}
			return nil
		},
	}
}
