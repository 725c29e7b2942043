package profile

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"jetsend/internal/set"
	"jetsend/internal/xmltree"
)

// TestReceiptDifferences: what is not as it was sent goes with the receipt; older
// receivers say nothing, and numbers that cannot be are lies.
func TestReceiptDifferences(t *testing.T) {
	full := Receipt{Transfer: "x", Size: 3, Stored: 3}
	for _, of := range []*Differences{nil, {}, {Renamed: 2}, {LeftOut: 1}, {Renamed: set.MaxEntries, LeftOut: 3}} {
		r := full
		r.Differs = of
		got, err := ParseReceipt(r.Element())
		if err != nil || (got.Differs == nil) != (of == nil) || of != nil && *got.Differs != *of {
			t.Errorf("%+v: %+v, %v", of, got.Differs, err)
		}
	}
	for _, bad := range []string{"-1", "x", fmt.Sprint(set.MaxEntries + 1), ""} {
		if _, err := ParseReceipt(full.Element().Set("left-out", "1").Set("renamed", bad)); !errors.Is(err, ErrSealed) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestBatchIsBounded exceeds the files that one question may be for.
func TestBatchIsBounded(t *testing.T) {
	batch := func(count int) *xmltree.Element {
		return xmltree.New(NS, "batch").Set("id", "2b6f0cc9-04d1-4b0e-8e5c-5d5bb3a3a1f3").Set("index", "1").Set("count", fmt.Sprint(count)).Set("bytes", "1")
	}
	if _, err := parseBatch(batch(MaxBatch)); err != nil {
		t.Errorf("the largest batch: %v", err)
	}
	if _, err := parseBatch(batch(MaxBatch + 1)); err == nil {
		t.Error("a larger one was taken")
	}
}

// TestSealedIsBounded exceeds the length of a sealed element: it is not even
// decoded, so that no secret is needed to refuse it.
func TestSealedIsBounded(t *testing.T) {
	x := xmltree.New(NS, "sealed").Set("kind", KindReceipt).SetText(strings.Repeat("A", maxSealed+4))
	if _, err := Unseal(nil, KindReceipt, (&Offer{}).Context(), x); !errors.Is(err, ErrSealed) {
		t.Errorf("%v", err)
	}
}
