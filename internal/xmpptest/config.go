package xmpptest

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// DefaultDomain is the domain of a server when [Options] names none. It is
// reserved for tests (RFC 6761) and resolves nowhere.
const DefaultDomain = "jet.test"

// Account is a user of a private server.
type Account struct {
	User     string // local part
	Password string
}

// Options says what kind of server to start. The zero value is a server for
// [DefaultDomain] with a SOCKS5 proxy, no accounts, and PLAIN, SCRAM-SHA-1 and
// SCRAM-SHA-256 on offer.
type Options struct {
	// Software is the server's program; empty means [Prosody].
	Software Software
	// Domain is the domain served; empty means [DefaultDomain].
	Domain string
	// Accounts exist from the start; [Server.AddAccount] adds more.
	Accounts []Account
	// Mutual subscribes every account of Accounts to every other one, both ways.
	Mutual bool
	// Registration lets clients make accounts (XEP-0077); InvitesOnly, of Prosody, those alone
	// who have a token of the server (XEP-0445).
	Registration, InvitesOnly bool
	// NoProxy leaves out the SOCKS5 proxy (XEP-0065) at proxy.Domain.
	NoProxy bool
	// CertNames are the names in the server's certificate; empty means the
	// domain and its proxy.
	CertNames []string
	// CertNotAfter ends the certificate's life; zero means after any test.
	CertNotAfter time.Time
	// DisabledSASL are mechanisms that the server shall not offer.
	DisabledSASL []string
	// DisabledModules are Prosody modules that shall not be loaded: "pep",
	// "smacks". On other software their equals are left out.
	DisabledModules []string
	// Mute adds mod_sasl2_sm to [ProsodySASL2]: Prosody 0.12 lacks what it calls, and a login
	// that asks for stream management gets no answer.
	Mute bool
	// Debug makes the server log at debug level.
	Debug bool
	// Extra is Lua that goes to the end of the global section of Prosody's
	// configuration, where it overrides what stands before it. Other software
	// refuses it.
	Extra string
}

func (o Options) domain() string {
	if o.Domain == "" {
		return DefaultDomain
	}
	return o.Domain
}

func (o Options) certNames() []string {
	if len(o.CertNames) > 0 {
		return o.CertNames
	}
	return []string{o.domain(), "proxy." + o.domain()}
}

// modules are the Prosody modules of a private server. No "limits": its 10
// kB/s per client would throttle in-band bytestreams and hide what is measured.
// No "s2s": this server talks to nobody.
var modules = []string{
	"disco", "roster", "saslauth", "tls", "blocklist", "carbons", "pep", "private",
	"smacks", "ping", "time", "version", "posix", "vcard4", "jet_harness",
}

// endpoints are the addresses of a private server.
type endpoints struct {
	c2s, direct, proxy, control string // host:port; proxy and control are empty without one
}

// pickEndpoints looks for free addresses. Direct TLS gets port 5223 on a
// loopback address of its own, because clients tell direct TLS from STARTTLS by
// that number; where there is no such address any free port will do.
func pickEndpoints(withProxy, withControl bool) (endpoints, error) {
	const host = "127.0.0.1"
	var e endpoints
	port, err := freePort(host)
	if err != nil {
		return e, err
	}
	e.c2s = join(host, port)
	if own, err := freeHost(directTLSPort); err == nil {
		e.direct = join(own, directTLSPort)
	} else {
		if port, err = freePort(host); err != nil {
			return e, err
		}
		e.direct = join(host, port)
	}
	if withProxy {
		if port, err = freePort(host); err != nil {
			return e, err
		}
		e.proxy = join(host, port)
	}
	if withControl {
		if port, err = freePort(host); err != nil {
			return e, err
		}
		e.control = join(host, port)
	}
	return e, nil
}

// prosodyConfig writes the configuration of the server in dir.
func prosodyConfig(dir string, e endpoints, o Options) string {
	var b strings.Builder
	set := func(key, value string) { fmt.Fprintf(&b, "%s = %s\n", key, value) }
	level := "info"
	if o.Debug {
		level = "debug"
	}
	set("run_as_root", "true") // a private directory, loopback only, no service
	set("pidfile", luaString(dir+"/prosody.pid"))
	set("data_path", luaString(dir+"/data"))
	paths, enabled := []string{dir + "/modules"}, slices.Clone(modules)
	if o.Software == ProsodySASL2 {
		paths, enabled = append(paths, communityModules), append(enabled, "sslinfo", "sasl2", "sasl2_bind2", "sasl2_fast")
	}
	if o.Mute {
		enabled = append(enabled, "sasl2_sm")
	}
	set("plugin_paths", luaList(paths...))
	set("log", "{ "+level+" = "+luaString(dir+"/prosody.log")+" }")
	set("certificates", luaString(dir+"/tls"))
	set("interfaces", luaList("127.0.0.1"))
	set("local_interfaces", luaList("127.0.0.1"))
	set("c2s_ports", luaPort(e.c2s))
	set("c2s_interfaces", luaHost(e.c2s))
	set("c2s_direct_tls_ports", luaPort(e.direct))
	set("c2s_direct_tls_interfaces", luaHost(e.direct))
	for _, none := range []string{"s2s_ports", "s2s_direct_tls_ports", "http_ports", "https_ports", "component_ports"} {
		set(none, "{ }")
	}
	// A client without SNI, or with a name that the certificate lacks, gets this one.
	set("c2s_direct_tls_ssl", luaTLS(dir))
	set("c2s_require_encryption", "true")
	// A stop waits this long, and a second, for clients that do not say goodbye.
	set("c2s_close_timeout", "1")
	set("authentication", luaString("internal_plain"))
	set("allow_registration", fmt.Sprint(o.Registration))
	if o.Registration {
		enabled = append(enabled, "user_account_management", "register_ibr", "invites", "invites_register")
		set("registration_invite_only", fmt.Sprint(o.InvitesOnly))
	}
	set("storage", luaString("internal"))
	if len(o.DisabledSASL) > 0 {
		set("disable_sasl_mechanisms", luaList(o.DisabledSASL...))
	}
	set("modules_enabled", luaList(enabled...))
	set("modules_disabled", luaList(append([]string{"s2s", "offline"}, o.DisabledModules...)...))
	if e.proxy != "" {
		set("proxy65_ports", luaPort(e.proxy))
		set("proxy65_interfaces", luaHost(e.proxy))
	}
	b.WriteString(o.Extra + "\n")
	fmt.Fprintf(&b, "VirtualHost %s\n", luaString(o.domain()))
	set("ssl", luaTLS(dir))
	if e.proxy != "" {
		fmt.Fprintf(&b, "Component %s %s\n", luaString("proxy."+o.domain()), luaString("proxy65"))
		set("proxy65_address", luaString("127.0.0.1"))
		set("proxy65_acl", luaList(o.domain()))
	}
	return b.String()
}

// luaTLS is the table that names the server's key and certificate.
func luaTLS(dir string) string {
	return "{ key = " + luaString(dir+"/tls/key.pem") + "; certificate = " + luaString(dir+"/tls/cert.pem") + " }"
}

func join(host string, port int) string { return net.JoinHostPort(host, fmt.Sprint(port)) }

func luaPort(addr string) string {
	_, port, _ := net.SplitHostPort(addr) // ours, made by join
	return "{ " + port + " }"
}

func luaHost(addr string) string {
	host, _, _ := net.SplitHostPort(addr) // ours, made by join
	return luaList(host)
}

func luaList(items ...string) string {
	quoted := make([]string, len(items))
	for i, s := range items {
		quoted[i] = luaString(s)
	}
	return "{ " + strings.Join(quoted, ", ") + " }"
}

// luaString quotes any bytes as a Lua string literal.
func luaString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < 0x20 || c >= 0x7f:
			fmt.Fprintf(&b, `\%03d`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
