package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// newGenDocsCommand writes the man pages. It is hidden: only the build uses it.
func newGenDocsCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "gen-docs DIR",
		Short:  "Write the man pages",
		Long:   "Write a man page for every command into DIR. The date in them is SOURCE_DATE_EPOCH when it is set.\n\n" + exitStatus(offlineCodes()...),
		Hidden: true,
		Args:   exactly(1, "one DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("make the directory: %w", err)
			}
			header := &doc.GenManHeader{Title: "JETSEND", Section: "1", Source: "jetsend " + currentVersion().Version, Manual: "jetsend manual"}
			return doc.GenManTree(cmd.Root(), header, args[0])
		},
	}
}
