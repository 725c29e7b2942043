package main

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"jetsend/internal/doctor"
)

// TestDoctorDocs holds docs/doctor.md and what is written as JSON together.
func TestDoctorDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	members := make(map[string]bool)
	for _, v := range []any{
		doctor.Finding{}, diagnosisRecord{}, doctor.Plan{}, doctor.DNSDetails{}, doctor.ConnectDetails{}, doctor.TLSDetails{},
		doctor.SASLDetails{}, doctor.LoginDetails{}, doctor.RoundTripDetails{}, doctor.ManagementDetails{}, doctor.PEPDetails{},
		doctor.PresenceDetails{}, doctor.OwnDeviceDetails{}, doctor.DevicesDetails{}, doctor.CandidatesDetails{},
		doctor.PlatformDetails{}, doctor.OutsideDetails{}, doctor.ProxiesDetails{}, doctor.InBandDetails{}, doctor.SubscriptionDetails{}, doctor.ClientDetails{}, doctor.InterruptedDetails{},
	} {
		jsonMembers(reflect.TypeOf(v), members)
	}
	if len(members) < 50 {
		t.Errorf("only %d members", len(members))
	}
	for m := range members {
		if !strings.Contains(string(text), "`"+m+"`") {
			t.Errorf("the member %s is not documented", m)
		}
	}
}

// jsonMembers gathers the names under which a type's fields are written.
func jsonMembers(t reflect.Type, into map[string]bool) {
	switch t.Kind() {
	case reflect.Slice, reflect.Pointer:
		jsonMembers(t.Elem(), into)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
				into[name] = true
			}
			jsonMembers(f.Type, into)
		}
	}
}
