#!/bin/sh
# Send a folder to a contact, as an archive:
#
#	nightly-backup.sh FOLDER CONTACT
#
# One archive at a time is on its way. What was left over from last night goes out
# first, from where it stopped, and then the one of today. An archive is removed
# when jetsend ends with 0: the other end has it, verified and on disk.
#
# From cron, with the account in the environment or in the configuration:
#
#	15 2 * * *  nightly-backup.sh "$HOME/documents" nas@capulet.example
#
# From systemd: nightly-backup.service and nightly-backup.timer beside this file.
# Nobody is asked anything; standard error says what went wrong, and the exit code
# is that of jetsend (`jetsend help exit-codes`).
#
# BACKUP_SPOOL  where the archive waits (default ~/.cache/jetsend-backup)
# BACKUP_TRIES  how often to try while the contact is away or the line is down (8)
# BACKUP_PAUSE  seconds between two tries (900)
# BACKUP_WAIT   how long each try waits for the contact to be online (10m)
set -u
umask 077
[ $# -eq 2 ] || { echo "usage: $0 FOLDER CONTACT" >&2; exit 2; }
folder=$1
contact=$2
spool=${BACKUP_SPOOL:-$HOME/.cache/jetsend-backup}
tries=${BACKUP_TRIES:-8}
pause=${BACKUP_PAUSE:-900}
wait=${BACKUP_WAIT:-10m}

stop= # the exit code that a signal asks for
child=
trap 'stop=143; kill -TERM $child 2>/dev/null' TERM HUP
trap 'stop=130; kill -TERM $child 2>/dev/null' INT

# run COMMAND...: run it so that a signal to this script reaches it at once.
run() {
	"$@" &
	child=$!
	wait "$child"
	code=$?
	if [ -n "$stop" ]; then # the signal ended the wait, and then the command
		wait "$child"
		exit "$stop"
	fi
	child=
	return $code
}

say() { echo "nightly-backup: $*" >&2; }

# deliver ARCHIVE: send it until that works or makes no sense. The same command
# again resumes where the last one stopped.
deliver() {
	try=1
	while :; do
		run jetsend --quiet send --wait "$wait" -- "$1" "$contact"
		code=$?
		case $code in
		0)
			rm -f -- "$1"
			return 0
			;;
		5 | 6 | 11) # no network, the contact is away, or it was interrupted: later
			;;
		8) # a no, or nobody who answered: tonight is not the night
			say "$contact did not take $1"
			return $code
			;;
		9 | 10) # a key or a file that is not what it should be: for a person to look at
			say "$1 was not sent to $contact: the line above says why"
			return $code
			;;
		*) # ours to mend: usage, configuration, login, the disk; or a signal
			return $code
			;;
		esac
		[ "$try" -lt "$tries" ] || return $code
		say "try $try of $tries ended with $code, the next one in $pause s"
		try=$((try + 1))
		run sleep "$pause"
	done
}

mkdir -p "$spool" || exit 12
# ln is a lock that any system has. That of a night that was killed is taken over.
echo $$ >"$spool/$$.pid" || exit 12
trap 'rm -f "$spool/$$.pid"' EXIT
if ! ln "$spool/$$.pid" "$spool/lock" 2>/dev/null; then
	owner=$(cat "$spool/lock")
	if kill -0 "$owner" 2>/dev/null; then
		say "the one before is still at work (process $owner)"
		exit 0
	fi
	mv -f "$spool/$$.pid" "$spool/lock" || exit 12
fi
trap 'rm -f "$spool/$$.pid" "$spool/lock" "$spool"/*.part' EXIT

for left in "$spool"/*.tar.gz; do
	[ -e "$left" ] || continue
	deliver "$left" || exit
done

name=$(basename "$folder")
name=${name#.}-$(date +%Y-%m-%d) # the archive of a hidden folder is not hidden: see *.tar.gz above
run tar -czf "$spool/$name.part" -C "$(dirname "$folder")" -- "$(basename "$folder")"
code=$?
# GNU tar says 1 when a file changed while it was read: a backup of a folder that
# somebody works in, and worth having.
if [ $code -eq 1 ] && tar --version 2>/dev/null | grep -q 'GNU tar'; then
	code=0
fi
[ $code -eq 0 ] || { say "no archive of $folder could be made"; exit 12; }
mv "$spool/$name.part" "$spool/$name.tar.gz"
deliver "$spool/$name.tar.gz"
