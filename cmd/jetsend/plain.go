package main

import (
	"github.com/spf13/cobra"

	"jetsend/internal/config"
	"jetsend/internal/dialect"
	"jetsend/internal/policy"
	"jetsend/internal/transfer"
)

// insecureFlag is how a user says that files may go without encryption. It is a
// flag and no key of the configuration: what takes the protection away is said each
// time, and by whoever starts the command.
const insecureFlag = "insecure-plaintext"

// insecureSend turns the flag of send into the form of its offers. Whatever asks for
// a protection contradicts it; a form or cipher of the configuration gives way.
func insecureSend(cmd *cobra.Command, s config.Send, o *transfer.SendOptions) error {
	insecure, err := cmd.Flags().GetBool(insecureFlag)
	if err != nil || !insecure {
		return err
	}
	for _, x := range []struct {
		flag  string
		asked bool
	}{
		{"encryption", cmd.Flags().Changed("encryption")}, {"cipher", cmd.Flags().Changed("cipher")},
		{"require-hidden-name", s.RequireHiddenName}, {"require-verified-receipt", s.RequireVerifiedReceipt},
	} {
		if !x.asked {
			continue
		}
		err := usagef("--%s and --%s contradict each other", insecureFlag, x.flag)
		if !cmd.Flags().Changed(x.flag) {
			return err.hint("the configuration asks for it; `--%s=false` takes that back", x.flag)
		}
		return err.hint("leave one of them out")
	}
	o.Encryption, o.Cipher = dialect.ChoosePlaintext, ""
	return nil
}

// insecureReceive turns the flag of receive into the option.
func insecureReceive(cmd *cobra.Command, o *transfer.ReceiveOptions) (err error) {
	o.InsecurePlaintext, err = cmd.Flags().GetBool(insecureFlag)
	if err == nil && o.InsecurePlaintext && o.Accept == policy.Verified {
		return usagef("--%s and --accept verified contradict each other: an unencrypted file comes from no key", insecureFlag).
			hint("use --accept contacts, or --from name@domain")
	}
	return err
}
