package fault

import (
	"testing"

	"jetsend/internal/exitcode"
	"jetsend/internal/inbox"
	"jetsend/internal/jingle"
	"jetsend/internal/journal"
	"jetsend/internal/stanza"
	"jetsend/internal/stream"
)

// situations are those that decide about another attempt and about resuming, each with a
// letter. In capitals they are those of the receiver.
func situations() []struct {
	letter string
	Standing
} {
	there := func() bool { return true }
	type in = struct {
		letter string
		Standing
	}
	return []in{
		{"n", Standing{Resumes: true}},                                // a new offer
		{"a", Standing{Resumes: true, Accepted: true}},                // accepted
		{"s", Standing{Resumes: true, Accepted: true, Started: true}}, // bytes have gone out
		{"k", Standing{Resumes: true, Phase: journal.PhaseKnown}},     // offered before

		{"N", Standing{Receiving: true, Resumes: true, Started: true}},
		{"A", Standing{Receiving: true, Resumes: true, Started: true, Accepted: true}},
		{"K", Standing{Receiving: true, Resumes: true, Started: true, Phase: journal.PhaseKnown}},
		{"D", Standing{Receiving: true, Resumes: true, Started: true, Durable: 1, Remains: there}},
		{"G", Standing{Receiving: true, Resumes: true, Started: true, Durable: 1}}, // gone with its directory
		{"V", Standing{Receiving: true, Resumes: true, Started: true, Phase: journal.PhaseVerified, Durable: 1, Remains: there}},
	}
}

// TestRules is, for every row, in which situations the same run tries again, and in which
// the transfer is resumable.
func TestRules(t *testing.T) {
	type rules struct{ again, resumable string }
	want := map[string]rules{
		"drained":               {"", "naskNAKDGV"},
		"stopped by hand":       {"", "naskNAKDGV"},
		"terminated":            {"", "naskNAKDGV"},
		"superseded":            {"naskNAKDGV", "naskNAKDGV"},
		"state full":            {"", "askNAKDGV"},
		"state damaged":         {"", "askNAKDGV"},
		"folder":                {"", "askNAKDGV"},
		"in use":                {"naskNAKDGV", "naskNAKDGV"},
		"ended by the contact":  {"", "askNAKDGV"},
		"trust":                 {"", "askNAKDGV"},
		"no prekeys":            {"", "askNAKDGV"},
		"no device":             {"", "askNAKDGV"},
		"envelope":              {"", "askNAKDGV"},
		"hash of the whole":     {"", "naskNAKDGV"},
		"tag":                   {"", "naskNAKDGV"},
		"sealed element":        {"", "naskNAKDGV"},
		"changed offer":         {"", "naskNAKDGV"},
		"replayed offer":        {"", "naskNAKDGV"},
		"more than announced":   {"", "nask"},
		"no answer":             {"", "askNAKDGV"},
		"refused archive":       {"", "ask"},
		"refused set":           {"", "ask"},
		"declined":              {"", "askNAKDGV"},
		"not to be had":         {"", "askNAKDGV"},
		"paused":                {"", "askNAKDGV"},
		"changed, when asked":   {"", "NAKDGV"},
		"gone":                  {"", "askNAKDGV"},
		"abandoned":             {"", "askNAKDGV"},
		"no space":              {"", "askKDGV"},
		"crowded":               {"", "ask"},
		"exists":                {"", "ask"},
		"file size":             {"", "ask"},
		"source changed":        {"", "NAKDGV"},
		"source":                {"", "askNAKDGV"},
		"output":                {"", "askNAKDGV"},
		"sink":                  {"", "askDV"},
		"running":               {"", "askNAKDGV"},
		"row in use":            {"A", "askNAKDGV"},
		"not there":             {"askAKV", "askNAKDGV"},
		"no transport":          {"", "askNAKDGV"},
		"unfit answer":          {"", "askNAKDGV"},
		"too long for a secret": {"", "askNAKDGV"},
		"idle":                  {"naskNAKDGV", "naskNAKDGV"},
		"no candidate":          {"skNAKDGV", "naskNAKDGV"},
		"other bytes":           {"naskNAKDGV", "naskNAKDGV"},
		"next part":             {"naskNAKDGV", "naskNAKDGV"},
		"unconfirmed":           {"naskNAKDGV", "naskNAKDGV"},
		"no progress":           {"naskNAKDGV", "naskNAKDGV"},
		"peer gone":             {"naskNAKDGV", "naskNAKDGV"},
		"stream lost":           {"naskNAKDGV", "naskNAKDGV"},
		"short stream":          {"naskNAKDGV", "naskNAKDGV"},
		"late":                  {"naskNAKDGV", "naskNAKDGV"},
		"offer refused":         {"", "askNAKDGV"},
		"stanza error":          {"naskNAKDGV", "naskNAKDGV"},
		"path":                  {"", "askNAKDGV"},
		"session ended":         {"naskNAKDGV", "naskNAKDGV"},
		"out of order":          {"naskNAKDGV", "naskNAKDGV"},
		"network":               {"naskNAKDGV", "naskNAKDGV"},
		"unexpected":            {"", "naskNAKDGV"},

		"busy":               {"ask", "askADGV"},
		"decline":            {"", "askADGV"},
		"security-error":     {"", "askADGV"},
		"unavailable":        {"askAKV", "askNAKDGV"},
		"connectivity-error": {"naskNAKDGV", "naskADGV"},
		"gone, proven":       {"", "V"},
		"failure":            {"askAKV", "askNAKDGV"},
		"refusal":            {"", "askKV"},
		"lost, at the sink":  {"", "askDV"},
		"full, at the sink":  {"", "askKDGV"},
	}
	kinds := Kinds()
	for name, err := range map[string]error{ // what an error adds
		"refusal":            Refuse(ErrDeclined, jingle.Reason{}),
		"lost, at the sink":  &stream.SinkError{Err: ErrOutput},
		"full, at the sink":  &stream.SinkError{Err: inbox.ErrNoSpace},
		"busy":               &Ended{Reason: jingle.Reason{Condition: jingle.Busy}},
		"decline":            &Ended{Reason: jingle.Reason{Condition: jingle.Decline}},
		"security-error":     &Ended{Reason: jingle.Reason{Condition: jingle.SecurityError}},
		"connectivity-error": &Ended{Reason: jingle.Reason{Condition: jingle.ConnectivityError}},
		"gone, proven":       &Ended{Reason: Reason(jingle.Decline, DetailGone), Proven: true},
		"unavailable":        &OfferError{stanza.NewError(stanza.ServiceUnavailable)},
		"failure":            &Failure{Code: exitcode.Offline},
	} {
		k := Of(err)
		k.Name = name
		kinds = append(kinds, k)
	}
	for _, k := range kinds {
		var is rules
		for _, in := range situations() {
			if k.Retryable(in.Standing) {
				is.again += in.letter
			}
			if k.Resumable(in.Standing) {
				is.resumable += in.letter
			}
		}
		if is != want[k.Name] {
			t.Errorf("\t\t%-25s {%q, %q},", `"`+k.Name+`":`, is.again, is.resumable)
		}
		delete(want, k.Name)
	}
	for name := range want {
		t.Errorf("no row %q", name)
	}
}
