package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/internal/netns"
)

// TestSign signs checksums by a key of the test, and verifies the signature as the user of a release would.
func TestSign(t *testing.T) {
	if _, err := exec.LookPath("gpg"); err != nil {
		netns.Cannot(t, "no gpg: apt-get install gnupg")
	}
	makefile, err := filepath.Abs("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	home, err := os.MkdirTemp("", "gpg") // short: the agent's socket is in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	sums := filepath.Join(dir, "dist/SHA256SUMS")
	if err := os.Mkdir(filepath.Dir(sums), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(sums, []byte("sums\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	run := func(environment []string, argv ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
		cmd.Dir = dir
		cmd.Env = append(append(os.Environ(), "GNUPGHOME="+home), environment...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	must := func(environment []string, argv ...string) string {
		t.Helper()
		out, err := run(environment, argv...)
		if err != nil {
			t.Fatalf("%s: %v\n%s", argv, err, out)
		}
		return out
	}
	defer func() { must(nil, "gpgconf", "--kill", "all") }()
	must(nil, "gpg", "--batch", "--quiet", "--passphrase", "secret", "--quick-generate-key", "test", "ed25519", "sign")
	key := must(nil, "gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "secret", "--armor",
		"--export-secret-keys")
	must([]string{"RELEASE_KEY=" + key, "RELEASE_KEY_PASSPHRASE=secret"}, "make", "-s", "-f", makefile, "sign")
	must(nil, "gpg", "--quiet", "--verify", sums+".asc", sums)
	if err := os.WriteFile(sums, []byte("other sums\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := run(nil, "gpg", "--verify", sums+".asc", sums); err == nil {
		t.Errorf("the signature is good for other checksums:\n%s", out)
	}
}

// TestNotes checks that the notes of a release are those of one version.
func TestNotes(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "make", "-s", "-C", "..", "notes").Output()
	if err != nil {
		t.Fatal(err)
	}
	if notes := string(out); !strings.Contains(notes, "\n- ") || strings.Contains(notes, "\n## ") {
		t.Errorf("the notes of the release:\n%s", notes)
	}
}
