// Package systemd is where ctkeeper talks to the service manager and the
// journal, and where the files that introduce it to them are kept.
//
// In event → observe → diff → apply → record it is the far end of record: the
// journal core turns one zap entry into one native journal entry, with the
// fields and MESSAGE_IDs that scripts rely on, and the Notifier keeps what
// systemctl status shows in step with what the last pass found. It decides
// nothing and reads nothing of the kernel's.
//
// Beside the Go files lie the ones to install: the unit, its user (sysusers.d),
// its runtime directory (tmpfiles.d) and the message catalog. Tests hold them to
// the code: every MESSAGE_ID has one catalog entry, and the unit passes
// systemd-analyze.
package systemd
