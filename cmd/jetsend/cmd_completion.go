package main

import (
	"github.com/spf13/cobra"
)

func newCompletionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "completion bash|zsh|fish|powershell",
		GroupID: groupOther,
		Short:   "Write a completion script for a shell",
		Long: `Write a completion script for a shell to standard output.

  bash        jetsend completion bash > ~/.local/share/bash-completion/completions/jetsend
  zsh         jetsend completion zsh > "${fpath[1]}/_jetsend"
  fish        jetsend completion fish > ~/.config/fish/completions/jetsend.fish
  powershell  jetsend completion powershell | Out-String | Invoke-Expression

` + exitStatus(offlineCodes()...),
		Args:      exactly(1, "one of bash, zsh, fish, powershell"),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.Stdout, true)
			case "zsh":
				return root.GenZshCompletion(a.Stdout)
			case "fish":
				return root.GenFishCompletion(a.Stdout, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(a.Stdout)
			}
			return usagef("there is no completion for %q", args[0]).hint("use one of bash, zsh, fish, powershell")
		},
	}
}
