"""Gajim without hands.

Runs the installed Gajim, window and all, makes one account in it, and does
with Gajim's own functions what a person does with the mouse. Commands come as
JSON objects, one a line, on standard input; what happens goes to standard
output in the same form, and Gajim's log with every stanza to standard error.

Arguments: address, password, host:port of the server, port of the listener for
direct connections, directory for Gajim's files.

    {"do": "send", "path": PATH, "to": FULL-JID, "inband": BOOL}
    {"do": "paths", "direct": BOOL, "proxy": BOOL}

    {"event": "online", "jid": FULL-JID}
    {"event": "sending" | "refused" | "sent" | "failed", "name": NAME, "reason": TEXT}
"""

import json
import os
import sys

import gi

for name, version in {'GLib': '2.0', 'Gio': '2.0', 'Gtk': '3.0', 'GtkSource': '4', 'GObject': '2.0',
                      'Pango': '1.0', 'PangoCairo': '1.0'}.items():
    gi.require_version(name, version)

from gi.repository import GLib
from nbxmpp.const import ConnectionProtocol, ConnectionType
from nbxmpp.namespaces import Namespace
from nbxmpp.protocol import JID

from gajim.common import app, ged
from gajim.gtk.application import GajimApplication

ACCOUNT = 'rig'
ADDRESS, PASSWORD, SERVER, PORT, DIRECTORY = sys.argv[1:6]
# How often, in milliseconds, Gajim is asked whether it knows the features of a contact.
ASK_EVERY = 100


def tell(event, **members):
    print(json.dumps({'event': event, **members}), flush=True)


class Driver(GajimApplication):
    _rest = b''  # a command that has not come whole

    def _startup(self):
        super()._startup()
        app.settings.set('file_transfers_port', int(PORT))
        app.settings.set('use_keyring', False)
        for event, handler in {'signed-in': self._online, 'file-completed': self._completed, 'file-error': self._failed,
                               'file-send-error': self._failed, 'file-request-error': self._failed,
                               'jingle-ft-cancelled-received': self._failed}.items():
            app.ged.register_event_handler(event, ged.GUI2, handler)
        GLib.io_add_watch(sys.stdin.fileno(), GLib.PRIORITY_DEFAULT, GLib.IO_IN | GLib.IO_HUP, self._command)
        GLib.idle_add(self._enroll)

    def _enroll(self):
        user, domain = ADDRESS.split('@')
        self.create_account(ACCOUNT, user, domain, PASSWORD, None,
                            (SERVER, ConnectionProtocol.TCP, ConnectionType.START_TLS))
        # The server's proxy is looked for, and tried, only at the login.
        app.settings.set_account_setting(ACCOUNT, 'use_ft_proxies', True)
        self.enable_account(ACCOUNT)
        return GLib.SOURCE_REMOVE

    def _online(self, _event):
        tell('online', jid=str(app.get_client(ACCOUNT).get_own_jid()))

    def _completed(self, event):
        tell('sent', name=event.file_props.name, reason='')

    def _failed(self, event):
        props = getattr(event, 'file_props', None)
        reason = getattr(event, 'error', None) or getattr(event, 'error_msg', None) or event.name
        tell('failed', name=props.name if props else '', reason=str(reason))

    def _command(self, stdin, _condition):
        text = os.read(stdin, 65536)
        if not text:
            self.quit()
            return GLib.SOURCE_REMOVE
        *lines, self._rest = (self._rest + text).split(b'\n')
        for line in lines:
            command = json.loads(line)
            getattr(self, '_do_' + command.pop('do'))(**command)
        return GLib.SOURCE_CONTINUE

    def _do_paths(self, direct, proxy):
        app.settings.set_account_setting(ACCOUNT, 'ft_send_local_ips', direct)
        app.settings.set_account_setting(ACCOUNT, 'use_ft_proxies', proxy)

    def _do_send(self, path, to, inband):
        # Gajim drops a file for somebody whose features it has not yet fetched, and
        # goes by those of the last time that the contact was online.
        GLib.timeout_add(ASK_EVERY, self._send_when_known, path, JID.from_string(to), inband)

    def _send_when_known(self, path, to, inband):
        contacts = app.get_client(ACCOUNT).get_module('Contacts')
        resource = contacts.get_contact(to)
        if not (resource.supports(Namespace.JINGLE_FILE_TRANSFER_5) and resource.supports(Namespace.JINGLE_IBB) and
                resource.supports(Namespace.JINGLE_BYTESTREAM) != inband):
            return GLib.SOURCE_CONTINUE
        contact = contacts.get_contact(to.new_as_bare())
        begun = app.interface.instances['file_transfers'].send_file(ACCOUNT, contact, to, path)
        tell('sending' if begun else 'refused', name=os.path.basename(path), reason='')
        return GLib.SOURCE_REMOVE


if __name__ == '__main__':
    # Not gajim's own main(): that one refuses root, which everybody is in here.
    os.environ['CRYPTOGRAPHY_OPENSSL_NO_LEGACY'] = '1'
    sys.exit(Driver().run(['gajim', '--config-path', DIRECTORY, '--separate', '--verbose']))
