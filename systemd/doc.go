// Package systemd sends to the service manager and to the journal, and has the files that systemd needs.
//
// In event → observe → diff → apply → record it is the end of record: the journal core writes one zap entry
// as one native journal entry, with the fields and MESSAGE_IDs that scripts rely on, and the Notifier updates
// the status line of systemctl status. The package decides nothing and reads nothing from the kernel.
//
// The files to install are in this directory too: the unit, its user (sysusers.d), its runtime directory
// (tmpfiles.d) and the message catalog. Tests compare them with the code: every MESSAGE_ID has one catalog
// entry, and the unit passes systemd-analyze.
package systemd
