package crypto

import (
	"encoding/hex"
	"math/big"
	"math/bits"
	"math/rand/v2"
	"testing"
)

// polynomial gives x with the coefficient of x^i at bit i.
func polynomial(x element) *big.Int {
	z := new(big.Int).SetUint64(bits.Reverse64(x.lo))
	z.Lsh(z, 64)
	return z.Or(z, new(big.Int).SetUint64(bits.Reverse64(x.hi)))
}

// mulPolynomials multiplies in GF(2)[x] and reduces, digit by digit on paper.
func mulPolynomials(a, b *big.Int) *big.Int {
	z := new(big.Int)
	for i := range a.BitLen() {
		if a.Bit(i) == 1 {
			z.Xor(z, new(big.Int).Lsh(b, uint(i)))
		}
	}
	field := new(big.Int).SetBit(big.NewInt(0x87), 128, 1)
	for z.BitLen() > 128 {
		z.Xor(z, new(big.Int).Lsh(field, uint(z.BitLen()-129)))
	}
	return z
}

// inverse is 1/x: x^(2^128-2).
func inverse(x element) element {
	r := one()
	for range 127 {
		x = x.mul(x)
		r = r.mul(x)
	}
	return r
}

func randomElement(r *rand.Rand) element {
	x := element{r.Uint64(), r.Uint64()}
	switch r.IntN(8) {
	case 0:
		x.hi = 0
	case 1:
		x.lo = 0
	case 2:
		x = element{1 << r.IntN(64), 0}
	case 3:
		x = element{0, 1 << r.IntN(64)}
	}
	return x
}

func TestMultiplication(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var m multiplier
	for range 500 {
		x, y := randomElement(r), randomElement(r)
		want := mulPolynomials(polynomial(x), polynomial(y))
		if got := polynomial(x.mul(y)); got.Cmp(want) != 0 {
			t.Fatalf("%x · %x = %x, want %x", x, y, got, want)
		}
		m.set(y)
		if got := m.mul(x); got != x.mul(y) {
			t.Fatalf("multiplier: %x · %x = %x, want %x", x, y, got, x.mul(y))
		}
	}
}

func TestPowersAndInverse(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		x := randomElement(r)
		want := one()
		for n := range uint64(40) {
			if got := x.pow(n); got != want {
				t.Fatalf("%x^%d = %x, want %x", x, n, got, want)
			}
			want = want.mul(x)
		}
		if x != (element{}) && x.mul(inverse(x)) != one() {
			t.Fatalf("%x has a wrong inverse", x)
		}
	}
	if got := (element{}).mul(one()); got != (element{}) {
		t.Errorf("0 · 1 = %x", got)
	}
}

// The intermediate values of test case 2 in the GCM specification.
func TestSpecificationStep(t *testing.T) {
	block := func(s string) element {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return load(b)
	}
	h := block("66e94bd4ef8a2c3b884cfa59ca342b2e")
	c := block("0388dace60b6a392f328c2b971b2fe78")
	x1 := block("5e2ec746917062882c85b0685353deb7")
	if got := c.mul(h); got != x1 {
		t.Errorf("X1 = %x, want %x", got, x1)
	}
	ghash := block("f38cbb1ad69223dcc3457ae5b6b0f885")
	if got := x1.add(lengths(0, 16)).mul(h); got != ghash {
		t.Errorf("GHASH = %x, want %x", got, ghash)
	}
	var b [16]byte
	ghash.store(b[:])
	if load(b[:]) != ghash {
		t.Error("store and load disagree")
	}
}
