package xmpptest

import (
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	// ejabberdAPIPath is where its HTTP API is.
	ejabberdAPIPath = "/api"
	// ejabberdStanza is the largest stanza that clients may send, in bytes: room
	// for the largest in-band block (65535 bytes, XEP-0047, in base64) many times
	// over, so that the limit of the server is never what a test runs into.
	ejabberdStanza = 1 << 20
)

// node is one map of ejabberd's configuration.
type node map[string]any

// ejabberdModules are the modules of a private server, with their options:
// what the harness's Prosody offers, and mod_offline, which it lacks. There is
// no mod_s2s: nobody listens for other servers.
func ejabberdModules() node {
	return node{
		"mod_admin_extra": node{}, "mod_http_api": node{}, // for the harness itself
		"mod_blocking": node{}, "mod_caps": node{}, "mod_carboncopy": node{}, "mod_client_state": node{},
		"mod_disco": node{}, "mod_offline": node{}, "mod_ping": node{}, "mod_privacy": node{}, "mod_private": node{},
		"mod_roster": node{"versioning": true}, "mod_stream_mgmt": node{}, "mod_time": node{},
		"mod_pubsub": node{"access_createnode": "local", "plugins": []string{"flat", "pep"}},
		"mod_vcard":  node{}, "mod_version": node{},
	}
}

// ejabberdEquals are the modules that do what a module of Prosody does.
func ejabberdEquals() map[string]string {
	return map[string]string{
		"blocklist": "mod_blocking", "carbons": "mod_carboncopy", "pep": "mod_pubsub", "ping": "mod_ping",
		"private": "mod_private", "smacks": "mod_stream_mgmt", "vcard4": "mod_vcard",
	}
}

// ejabberdConfig is the configuration of the server in dir.
func ejabberdConfig(dir string, e endpoints, o Options) (node, error) {
	modules := ejabberdModules()
	if e.proxy != "" {
		host, port := splitAddr(e.proxy)
		modules["mod_proxy65"] = node{
			"host": "proxy." + o.domain(), "ip": host, "port": port, "hostname": host,
			"max_connections": "infinity", "access": "local",
		}
	}
	for _, m := range o.DisabledModules {
		name, ok := ejabberdEquals()[m]
		if !ok {
			return nil, fmt.Errorf("disable module %s: ejabberd has no such module (it has those for %s)",
				m, strings.Join(slices.Sorted(maps.Keys(ejabberdEquals())), ", "))
		}
		delete(modules, name)
	}
	if o.Registration {
		modules["mod_register"] = node{"access": "register", "ip_access": "all"}
	}
	level := "info"
	if o.Debug {
		level = "debug"
	}
	return node{
		"loglevel": level, "hosts": []string{o.domain()},
		"certfiles": []string{filepath.Join(dir, "tls", "*.pem")},
		"acme":      node{"auto": false},
		"listen":    ejabberdListeners(e),
		// Plain passwords, for all kinds of SCRAM; the first two are not what
		// the harness's Prosody offers.
		"auth_password_format":    "plain",
		"disable_sasl_mechanisms": append([]string{"DIGEST-MD5", "X-OAUTH2"}, o.DisabledSASL...),
		"acl":                     node{"local": node{"user_regexp": ""}, "loopback": node{"ip": []string{"127.0.0.0/8"}}},
		"access_rules":            node{"local": node{"allow": "local"}, "c2s": node{"allow": "all"}, "register": node{"allow": "all"}},
		"registration_timeout":    "infinity",
		"api_permissions": node{"harness": node{
			"who": []any{node{"access": []any{node{"allow": []any{node{"acl": "loopback"}}}}}}, "what": "*",
		}},
		// No rate limit: it would hide what is measured.
		"shaper_rules": node{"c2s_shaper": "none"},
		"modules":      modules,
	}, nil
}

func ejabberdListeners(e endpoints) []node {
	listener := func(addr, module string, options node) node {
		options["ip"], options["port"] = splitAddr(addr)
		options["module"] = module
		return options
	}
	return []node{
		listener(e.c2s, "ejabberd_c2s", node{
			"max_stanza_size": ejabberdStanza, "access": "c2s", "starttls": true, "starttls_required": true,
		}),
		listener(e.direct, "ejabberd_c2s", node{"max_stanza_size": ejabberdStanza, "access": "c2s", "tls": true}),
		listener(e.control, "ejabberd_http", node{"request_handlers": node{ejabberdAPIPath: "mod_http_api"}}),
	}
}

// splitAddr takes an address of ours apart.
func splitAddr(addr string) (host string, port int) {
	host, text, _ := net.SplitHostPort(addr) // ours, made by join
	port, _ = strconv.Atoi(text)
	return host, port
}

// erlString quotes a text as a term on the command line of the Erlang machine.
func erlString(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
