package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set at link time (-ldflags "-X main.version=1.2.3"); without it
// the build information of the module says what this is.
var version string

func newVersionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		GroupID: groupOther,
		Short:   "Show the version",
		Long:    "Show the version of jetsend, of the Go compiler that built it, and its licence.\n\n" + exitStatus(offlineCodes()...),
		Args:    exactly(0, ""),
		RunE: func(*cobra.Command, []string) error {
			a.print.Rows([]record{currentVersion()})
			return nil
		},
	}
}

// versionRecord is what `version` prints.
type versionRecord struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // commit, with + when the tree had changes
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Licence  string `json:"licence"`
}

// Kind implements record.
func (versionRecord) Kind() string { return "version" }

// Columns implements record.
func (r versionRecord) Columns() []string {
	revision := r.Revision
	if revision != "" {
		revision += ", "
	}
	return []string{fmt.Sprintf("jetsend %s (%s%s, %s, %s)", r.Version, revision, r.Go, r.Platform, r.Licence)}
}

func currentVersion() versionRecord {
	r := versionRecord{
		Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Licence: "GPL-3.0-or-later",
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return r
	}
	if r.Version == "" {
		r.Version = info.Main.Version
	}
	if r.Version == "" || r.Version == "(devel)" {
		r.Version = "devel"
	}
	const short = 12
	changed := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			r.Revision = s.Value[:min(short, len(s.Value))]
		case "vcs.modified":
			changed = s.Value == "true"
		}
	}
	if changed && r.Revision != "" {
		r.Revision += "+"
	}
	return r
}
