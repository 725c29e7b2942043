package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"jetsend/internal/exitcode"
)

// schema is the part of JSON Schema that docs/events.schema.json uses. A
// keyword that is not listed here fails the test, so that none is passed over.
type schema struct {
	Schema               string             `json:"$schema"`
	Title                string             `json:"title"`
	Description          string             `json:"description"`
	Defs                 map[string]*schema `json:"$defs"`
	Ref                  string             `json:"$ref"`
	OneOf                []*schema          `json:"oneOf"`
	Type                 string             `json:"type"`
	Format               string             `json:"format"`
	Const                any                `json:"const"`
	Enum                 []any              `json:"enum"`
	Pattern              string             `json:"pattern"`
	MinLength            int                `json:"minLength"`
	Minimum              *float64           `json:"minimum"`
	Properties           map[string]*schema `json:"properties"`
	Required             []string           `json:"required"`
	AdditionalProperties *bool              `json:"additionalProperties"`
	Items                *schema            `json:"items"`
	MinItems             int                `json:"minItems"`
}

func loadSchema(t *testing.T) *schema {
	t.Helper()
	data, err := os.ReadFile("../../docs/events.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	s := new(schema)
	if err := dec.Decode(s); err != nil {
		t.Fatal(err)
	}
	return s
}

// check returns why v does not fit s; root resolves references.
func (s *schema) check(root *schema, v any) error {
	if s.Ref != "" {
		def := root.Defs[strings.TrimPrefix(s.Ref, "#/$defs/")]
		if def == nil {
			return fmt.Errorf("no definition %s", s.Ref)
		}
		return def.check(root, v)
	}
	if len(s.OneOf) > 0 {
		var errs []string
		for _, alternative := range s.OneOf {
			if err := alternative.check(root, v); err != nil {
				errs = append(errs, alternative.Ref+": "+err.Error())
			}
		}
		if len(errs) != len(s.OneOf)-1 {
			return fmt.Errorf("fits %d alternatives: %s", len(s.OneOf)-len(errs), strings.Join(errs, "; "))
		}
		return nil
	}
	if s.Const != nil && !reflect.DeepEqual(s.Const, v) {
		return fmt.Errorf("%v is not %v", v, s.Const)
	}
	if s.Enum != nil && !slices.Contains(s.Enum, v) {
		return fmt.Errorf("%v is not one of %v", v, s.Enum)
	}
	return s.checkType(root, v)
}

func (s *schema) checkType(root *schema, v any) error {
	switch v := v.(type) {
	case string:
		if s.Type != "" && s.Type != "string" || len(v) < s.MinLength {
			return fmt.Errorf("%q is no %s", v, s.Type)
		}
		if s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(v) {
			return fmt.Errorf("%q does not match %s", v, s.Pattern)
		}
	case float64:
		if s.Type != "" && s.Type != "number" && s.Type != "integer" || s.Type == "integer" && v != float64(int64(v)) {
			return fmt.Errorf("%v is no %s", v, s.Type)
		}
		if s.Minimum != nil && v < *s.Minimum {
			return fmt.Errorf("%v is less than %v", v, *s.Minimum)
		}
	case bool:
		if s.Type != "" && s.Type != "boolean" {
			return fmt.Errorf("%v is no %s", v, s.Type)
		}
	case []any:
		if s.Type != "array" || len(v) < s.MinItems {
			return fmt.Errorf("%v is no %s", v, s.Type)
		}
		for _, item := range v {
			if err := s.Items.check(root, item); err != nil {
				return err
			}
		}
	case map[string]any:
		return s.checkObject(root, v)
	default:
		return fmt.Errorf("%v is null", v)
	}
	return nil
}

func (s *schema) checkObject(root *schema, v map[string]any) error {
	if s.Type != "object" {
		return fmt.Errorf("an object is no %s", s.Type)
	}
	for _, key := range s.Required {
		if _, ok := v[key]; !ok {
			return fmt.Errorf("%s is missing", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(v)) {
		p := s.Properties[key]
		if p == nil && s.AdditionalProperties != nil && *s.AdditionalProperties {
			continue
		}
		if p == nil {
			return fmt.Errorf("%s is not described", key)
		}
		if err := p.check(root, v[key]); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// TestSchema holds the schema and what is printed together: every line of the
// golden output fits exactly one definition, and every definition has a line.
func TestSchema(t *testing.T) {
	root := loadSchema(t)
	data, err := os.ReadFile("testdata/printer_json.golden")
	if err != nil {
		t.Fatal(err)
	}
	used := make(map[string]bool)
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "== standard error") {
		if strings.HasPrefix(lines.Text(), "==") {
			continue
		}
		var v any
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		for _, alternative := range root.OneOf {
			if alternative.check(root, v) == nil {
				used[alternative.Ref] = true
			}
		}
		if err := root.check(root, v); err != nil {
			t.Errorf("%s\ndoes not fit: %v", lines.Text(), err)
		}
	}
	for _, alternative := range root.OneOf {
		if !used[alternative.Ref] {
			t.Errorf("nothing printed fits %s", alternative.Ref)
		}
	}
}

// TestSchemaRefuses makes sure that the check above can fail.
func TestSchemaRefuses(t *testing.T) {
	root := loadSchema(t)
	for _, line := range []string{
		`{"v":1,"time":"2026-11-21T20:15:00Z","event":"online"}`,
		`{"v":2,"time":"2026-11-21T20:15:00Z","event":"online","jid":"a@b.example"}`,
		`{"v":1,"time":"2026-11-21T20:15:00+01:00","event":"online","jid":"a@b.example"}`,
		`{"v":1,"time":"2026-11-21T20:15:00Z","event":"online","jid":"a@b.example","extra":1}`,
		`{"v":1,"time":"2026-11-21T20:15:00Z","event":"failed","code":0,"reason":""}`,
		`{"v":1,"time":"2026-11-21T20:15:00Z","event":"contact","jid":"a","name":"","subscription":"all","asked":false,"asks":false}`,
		`{"v":1,"time":"2026-11-21T20:15:00Z","event":"device","jid":"a","id":0,"fingerprint":"","trust":"own","active":true}`,
		`{"v":1,"time":"2026-11-21T20:15:00Z","event":"interrupted","transfer":"0a3c1d5e-1b2c-4d3e-8f90-a1b2c3d4e5f6","direction":"send","peer":"a","name":"","bytes":1}`,
		`{"v":1,"time":"2026-11-21T20:15:00Z","event":"resumed","transfer":"0a3c1d5e-1b2c-4d3e-8f90-a1b2c3d4e5f6","direction":"send","peer":"a","name":"","offset":-1}`,
		`{"v":1,"time":"2026-11-21T20:15:00Z","event":"transfer","transfer":"0a3c1d5e-1b2c-4d3e-8f90-a1b2c3d4e5f6","direction":"send","peer":"a","name":"","size":1,"bytes":1,"state":"forgotten","resumable":false,"retries":0,"created":"2026-11-21T20:15:00Z","updated":"2026-11-21T20:15:00Z","fingerprints":[]}`,
		`{}`,
	} {
		var v any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		if root.check(root, v) == nil {
			t.Errorf("%s fits", line)
		}
	}
}

// TestSchemaCodes holds the schema's exit codes and the program's together.
func TestSchemaCodes(t *testing.T) {
	var got []exitCode
	for _, v := range loadSchema(t).Defs["exit_code"].Enum {
		got = append(got, exitCode(v.(float64)))
	}
	var want []exitCode
	for _, m := range meanings() {
		if m.code != exitcode.OK {
			want = append(want, m.code)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the schema has %v, the program %v", got, want)
	}
}
