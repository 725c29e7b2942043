package main

import (
	"github.com/spf13/cobra"

	"jetsend/internal/exitcode"
	"jetsend/internal/fault"
)

func newCompletionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "completion bash|zsh|fish|powershell",
		GroupID: groupOther,
		Short:   "Write a completion script for a shell",
		Long: `Write a completion script for a shell to standard output.

  bash        jetsend completion bash > \
                ~/.local/share/bash-completion/completions/jetsend
  zsh         jetsend completion zsh > "${fpath[1]}/_jetsend"
  fish        jetsend completion fish > ~/.config/fish/completions/jetsend.fish
  powershell  jetsend completion powershell | Out-String | Invoke-Expression

` + exitStatus(offlineCodes()...),
		Args:      exactly(1, "one of bash, zsh, fish, powershell"),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			switch root := cmd.Root(); args[0] {
			case "bash":
				err = root.GenBashCompletionV2(a.Stdout, true)
			case "zsh":
				err = root.GenZshCompletion(a.Stdout)
			case "fish":
				err = root.GenFishCompletion(a.Stdout, true)
			case "powershell":
				err = root.GenPowerShellCompletionWithDesc(a.Stdout)
			default:
				return usagef("there is no completion for %q", args[0]).hint("use one of bash, zsh, fish, powershell")
			}
			if err != nil {
				return &fault.Failure{Code: exitcode.LocalFile, Reason: "write to standard output", Err: err}
			}
			return nil
		},
	}
}
