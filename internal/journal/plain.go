package journal

// NoKey stands in the place of the identity key that a transfer belongs to, when it
// goes without encryption and so belongs to nobody's. It is no key that anybody can
// have: those begin with a type byte that is not zero. So nobody who shows a key
// goes on with such a transfer, or is handed the rest of it.
func NoKey() []byte { return make([]byte, keySize) }

// Insecure reports whether the transfer is one without encryption.
func (r *Row) Insecure() bool { return r.HasKey(NoKey()) }
