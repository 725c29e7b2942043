package session

import (
	"fmt"
	"strings"
	"testing"

	"jetsend/internal/xmltree"
)

// formOf reads what a server answers.
func formOf(t *testing.T, text string) *Form {
	t.Helper()
	e, err := xmltree.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return readForm(e)
}

// TestReadForm: the forms of XEP-0077 and of servers, and what is sent for them.
func TestReadForm(t *testing.T) {
	for name, c := range map[string]struct {
		query, fields, filled, url string
		none                       bool
	}{
		"of elements": {
			query:  `<query xmlns='jabber:iq:register'><instructions>Hello</instructions><username/><password/><key>k1</key><email/></query>`,
			fields: "email!=", filled: `<query xmlns='jabber:iq:register'><username>romeo</username><password>s3cret</password><key>k1</key><email>x</email></query>`,
		},
		"a data form goes before elements": {
			query: `<query xmlns='jabber:iq:register'><username/><password/><email/><x xmlns='jabber:x:data' type='form'><instructions>Hello</instructions>` +
				`<field type='hidden' var='FORM_TYPE'><value>jabber:iq:register</value></field><field type='text-single' var='username'><required/></field>` +
				`<field type='text-private' var='password'><required/></field><field type='fixed'><value>read this</value></field>` +
				`<field type='list-single' label='Plan' var='plan'><required/><option><value>a</value></option><option><value>b</value></option></field>` +
				`<field type='text-single' var='nick'/></x></query>`,
			fields: "=read this plan!=[a b] nick=",
			filled: `<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>jabber:iq:register</value></field>` +
				`<field var='username'><value>romeo</value></field><field var='password'><value>s3cret</value></field><field var='plan'><value>x</value></field></x></query>`,
		},
		"a picture": {
			query: `<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='form'><field var='username'/><field var='password'/>` +
				`<field var='ocr' label='What do you see?'><required/><media xmlns='urn:xmpp:media-element'><uri type='image/png'>https://capulet.example/c.png</uri></media></field></x></query>`,
			fields: "ocr!=<https://capulet.example/c.png>",
			filled: `<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'><field var='username'><value>romeo</value></field>` +
				`<field var='password'><value>s3cret</value></field><field var='ocr'><value>x</value></field></x></query>`,
		},
		"a page": {
			query: `<query xmlns='jabber:iq:register'><instructions>Go there</instructions><x xmlns='jabber:x:oob'><url>https://capulet.example/register</url></x></query>`,
			url:   "https://capulet.example/register", none: true,
		},
		"nothing": {query: `<query xmlns='jabber:iq:register'/>`, none: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := formOf(t, c.query)
			var fields []string
			for _, field := range f.Fields {
				text := field.Var
				if field.Required {
					text += "!"
				}
				text += "=" + field.Value
				if len(field.Options) > 0 {
					text += fmt.Sprint(field.Options)
				}
				for _, m := range field.Media {
					text += "<" + m + ">"
				}
				fields = append(fields, text)
				if field.Required {
					field.Value = "x"
				}
			}
			if got := strings.Join(fields, " "); got != c.fields || f.URL != c.url || f.registers() == c.none {
				t.Errorf("%q, %q, %v", got, f.URL, f.registers())
			}
			if got := f.filled("romeo", "s3cret").String(); !c.none && got != strings.ReplaceAll(c.filled, "'", `"`) && got != c.filled {
				t.Errorf("filled: %s", got)
			}
			if shown := redact(f.filled("romeo", "s3cret")); strings.Contains(shown, "s3cret") {
				t.Errorf("the log shows %s", shown)
			}
		})
	}
	many := `<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data'>` + strings.Repeat(`<field var='a'>`+strings.Repeat(`<option><value>b</value></option>`, 500)+`</field>`, 200) + `</x></query>`
	f := formOf(t, many)
	if len(f.Fields) != maxFormFields || len(f.Fields[0].Options) != maxFormOptions {
		t.Errorf("%d fields, %d choices", len(f.Fields), len(f.Fields[0].Options))
	}
	if f := readForm(nil); f.registers() || len(f.Fields) > 0 {
		t.Errorf("%+v", f)
	}
}
