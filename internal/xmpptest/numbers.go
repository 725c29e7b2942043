package xmpptest

// NoNumbers are texts that no count, size, port or id from the wire may be read
// from: a sign, nothing, white space alone, other notations and digits, and what 64
// bits do not hold. (White space around a number is up to the decoder.)
func NoNumbers() []string {
	return []string{
		"", " ", "-1", "-0", "+1", "--1", "1.0", "1e3", "0x10", "1_000", "1,000", "1 2", "\u0661", "\uff11", "\u00b2", "NaN", "Inf",
		"-9223372036854775809", "18446744073709551616", "99999999999999999999999999",
	}
}
