package journal

import "testing"

// TestNoKey: a transfer that belongs to no key is nobody's who has one, and whose
// belongs to a key is not of those who have none.
func TestNoKey(t *testing.T) {
	k := newKit(t)
	plain := received(newID(), t.TempDir())
	plain.Profile, plain.Keys = false, [][]byte{NoKey()}
	k.release(k.begin(plain))
	if now := k.load(plain.Key); !now.Insecure() || now.HasKey(keyA) {
		t.Errorf("%+v", now)
	}
	encrypted := received(newID(), plain.Dir)
	k.release(k.begin(encrypted))
	if now := k.load(encrypted.Key); now.Insecure() {
		t.Errorf("%+v", now)
	}
	for what, r := range map[string]Row{"a key for none": plain, "none for a key": encrypted} {
		other := received(r.ID, r.Dir)
		if !r.Insecure() {
			other.Keys = [][]byte{NoKey()}
		}
		_, err := k.Begin(t.Context(), other)
		wantErr(t, what, err, ErrForeign)
	}
	k.release(k.begin(plain)) // its own release, after a crash
	out := sent(newID())
	out.Profile, out.Keys = false, [][]byte{NoKey()}
	k.release(k.begin(out))
	for _, key := range [][]byte{keyA, NoKey()} {
		_, err := k.Offered(t.Context(), out.ID, romeo, key)
		wantErr(t, "granted", err, ErrUnknown)
	}
}
