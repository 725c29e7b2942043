package exitcode

import "testing"

func TestCombine(t *testing.T) {
	for _, tt := range []struct {
		in   []Code
		want Code
	}{
		{nil, OK},
		{[]Code{OK, OK}, OK},
		{[]Code{OK, Declined, Interrupted}, Interrupted},
		{[]Code{Offline, Unexpected, Untrusted}, Untrusted},
		{[]Code{Integrity, Cancelled}, Cancelled},
		{[]Code{Terminated, Integrity}, Terminated},
		{[]Code{OK, Login}, Login},
	} {
		if got := Combine(tt.in...); got != tt.want {
			t.Errorf("Combine(%v) = %d, want %d", tt.in, got, tt.want)
		}
	}
}
