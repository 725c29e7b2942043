package event

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"testing"
	"time"
)

// TestEncode: every event arrives in another process as it is, with what only people read.
func TestEncode(t *testing.T) {
	for _, e := range all {
		v := reflect.New(reflect.TypeOf(e)).Elem()
		fill(v)
		want, _ := v.Interface().(Event)
		b, err := Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Decode(b); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v became %+v, %v", want, got, err)
		}
	}
	for _, text := range []string{``, `[]`, `{}`, `{"type":"Event","event":{}}`, `{"type":"Sent"}`, `{"type":"Sent","event":{"size":"x"}}`} {
		if e, err := Decode([]byte(text)); err == nil {
			t.Errorf("%q is %+v", text, e)
		}
	}
}

// fill gives everything in a value another value than none.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.String:
		v.SetString("a<\u202e")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(1.25)
	case reflect.Uint32:
		v.SetUint(1)
	default:
		v.SetInt(int64(time.Second) + 1)
	}
}

// TestAllEvents: every type with a Kind is one that Decode knows.
func TestAllEvents(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, e := range all {
		known[reflect.TypeOf(e).Name()] = true
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Name.Name != "Kind" {
			continue
		}
		if of, ok := f.Recv.List[0].Type.(*ast.Ident); ok && !known[of.Name] {
			t.Errorf("%s is not in all", of.Name)
		}
	}
}

// FuzzDecode: what is read is an event, which is written and read as the same, or an error.
func FuzzDecode(f *testing.F) {
	for _, e := range all {
		b, err := Encode(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"type":"Failed","event":null,"hints":["run it"]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := Decode(b)
		if err != nil {
			return
		}
		again, err := Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		if is, err := Decode(again); err != nil || !reflect.DeepEqual(is, e) && !blank(e, is) {
			t.Fatalf("%+v became %+v, %v", e, is, err)
		}
	})
}

// blank reports whether events differ in that an empty list is none in one of them.
func blank(a, b Event) bool {
	x, xerr := Encode(a)
	y, yerr := Encode(b)
	return xerr == nil && yerr == nil && string(x) == string(y)
}
