package jid

import "testing"

func TestParse(t *testing.T) {
	for _, tt := range []struct{ in, full, bare, local, domain, resource string }{
		{"Juliet@Jet.Test/Balcony", "juliet@jet.test/Balcony", "juliet@jet.test", "juliet", "jet.test", "Balcony"},
		{"jet.test", "jet.test", "jet.test", "", "jet.test", ""},
		{"a@b/c@d/e", "a@b/c@d/e", "a@b", "a", "b", "c@d/e"},
	} {
		j, err := Parse(tt.in)
		if err != nil {
			t.Fatal(err)
		}
		if j.String() != tt.full || j.Bare().String() != tt.bare || j.Local() != tt.local || j.Domain() != tt.domain || j.Resource() != tt.resource {
			t.Errorf("%q: got %q %q %q %q %q", tt.in, j, j.Bare(), j.Local(), j.Domain(), j.Resource())
		}
		if j != MustParse(tt.full) {
			t.Errorf("%q is not equal to its prepared form", tt.in)
		}
	}
	for _, bad := range []string{"", "@b", "a@", "a@b/", ".."} {
		if j, err := Parse(bad); err == nil {
			t.Errorf("%q parsed as %q", bad, j)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("juliet@jet.test/a")
	f.Fuzz(func(t *testing.T, s string) {
		j, err := Parse(s)
		if err != nil {
			return
		}
		again, err := Parse(j.String())
		if err != nil || again != j {
			t.Fatalf("%q: %q does not survive a second preparation: %v %q", s, j, err, again)
		}
	})
}
