package distro

import (
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/host/change"
)

// kernels are kernel releases of distributions, each with the commands for it.
var kernels = []struct {
	distribution             Distribution
	release                  string
	kernel, extra, initramfs string
}{
	{
		debian12, "6.1.0-50-cloud-amd64",
		`apt-get install -y --reinstall '^linux-(image|modules)-6\.1\.0-50-cloud-amd64$'`, "",
		"update-initramfs -u -k 6.1.0-50-cloud-amd64",
	},
	{
		debian12, "7.2.13+deb14-amd64",
		`apt-get install -y --reinstall '^linux-(image|modules)-7\.2\.13\+deb14-amd64$'`, "",
		"update-initramfs -u -k 7.2.13+deb14-amd64",
	},
	{
		debian12, "6.8.4-2-pve",
		`sh -c 'apt-get install -y --reinstall $(dpkg-query --show --showformat '\''${Package} '\'' ` +
			`'\''*-kernel-6.8.4-2-pve*'\'')'`, "",
		"update-initramfs -u -k 6.8.4-2-pve",
	},
	{
		raspbian, "5.10.17-v7l+", "apt-get install -y --reinstall raspberrypi-kernel", "",
		"update-initramfs -u -k 5.10.17-v7l+",
	},
	{
		ubuntu, "6.8.0-31-generic",
		`apt-get install -y --reinstall '^linux-(image|modules)-6\.8\.0-31-generic$'`,
		`apt-get install -y --reinstall '^linux-(image|modules)-extra-6\.8\.0-31-generic$'`,
		"update-initramfs -u -k 6.8.0-31-generic",
	},
	{
		centos6, "2.6.32-754.el6.x86_64",
		"yum install -y kernel-2.6.32-754.el6.x86_64 && yum reinstall -y kernel-2.6.32-754.el6.x86_64", "",
		"dracut -f /boot/initramfs-2.6.32-754.el6.x86_64.img 2.6.32-754.el6.x86_64",
	},
	{
		centos7, "3.10.0-1160.el7.x86_64",
		"yum install -y kernel-3.10.0-1160.el7.x86_64 && yum reinstall -y kernel-3.10.0-1160.el7.x86_64", "",
		"dracut -f --kver 3.10.0-1160.el7.x86_64",
	},
	{
		rocky9, "5.14.0-362.8.1.el9_3.x86_64",
		"dnf install -y kernel-core-5.14.0-362.8.1.el9_3.x86_64 kernel-modules-5.14.0-362.8.1.el9_3.x86_64 && " +
			"dnf reinstall -y kernel-core-5.14.0-362.8.1.el9_3.x86_64 'kernel-modules*-5.14.0-362.8.1.el9_3.x86_64'",
		"dnf install -y kernel-modules-extra-5.14.0-362.8.1.el9_3.x86_64 && " +
			"dnf reinstall -y kernel-modules-extra-5.14.0-362.8.1.el9_3.x86_64",
		"dracut -f --kver 5.14.0-362.8.1.el9_3.x86_64",
	},
	{
		rocky9, "5.14.0-362.8.1.el9_3.aarch64+64k",
		"dnf install -y kernel-64k-core-5.14.0-362.8.1.el9_3.aarch64 " +
			"kernel-64k-modules-5.14.0-362.8.1.el9_3.aarch64 && " +
			"dnf reinstall -y kernel-64k-core-5.14.0-362.8.1.el9_3.aarch64 " +
			"'kernel-64k-modules*-5.14.0-362.8.1.el9_3.aarch64'",
		"dnf install -y kernel-64k-modules-extra-5.14.0-362.8.1.el9_3.aarch64 && " +
			"dnf reinstall -y kernel-64k-modules-extra-5.14.0-362.8.1.el9_3.aarch64",
		"dracut -f --kver 5.14.0-362.8.1.el9_3.aarch64+64k",
	},
	{
		oracle8, "5.15.0-200.131.27.el8uek.x86_64", "dnf reinstall -y 'kernel-uek*-5.15.0-200.131.27.el8uek.x86_64'",
		"dnf install -y kernel-uek-modules-extra-5.15.0-200.131.27.el8uek.x86_64 && " +
			"dnf reinstall -y kernel-uek-modules-extra-5.15.0-200.131.27.el8uek.x86_64",
		"dracut -f --kver 5.15.0-200.131.27.el8uek.x86_64",
	},
	{
		fedora, "6.8.5-301.fc40.x86_64",
		"dnf install -y kernel-core-6.8.5-301.fc40.x86_64 kernel-modules-6.8.5-301.fc40.x86_64 && " +
			"dnf reinstall -y kernel-core-6.8.5-301.fc40.x86_64 'kernel-modules*-6.8.5-301.fc40.x86_64'",
		"dnf install -y kernel-modules-extra-6.8.5-301.fc40.x86_64 && " +
			"dnf reinstall -y kernel-modules-extra-6.8.5-301.fc40.x86_64",
		"dracut -f --kver 6.8.5-301.fc40.x86_64",
	},
	{
		amazon2, "4.14.336-253.554.amzn2.x86_64",
		"yum install -y kernel-4.14.336-253.554.amzn2.x86_64 && " +
			"yum reinstall -y kernel-4.14.336-253.554.amzn2.x86_64", "",
		"dracut -f --kver 4.14.336-253.554.amzn2.x86_64",
	},
	{
		amazon, "6.1.90-99.173.amzn2023.x86_64", "dnf reinstall -y 'kernel*-6.1.90-99.173.amzn2023.x86_64'", "",
		"dracut -f --kver 6.1.90-99.173.amzn2023.x86_64",
	},
	{
		leap, "5.14.21-150500.55.52-default",
		"zypper --non-interactive install --force kernel-default=5.14.21-150500.55.52", "",
		"dracut -f --kver 5.14.21-150500.55.52-default",
	},
	{alpineOS, "6.6.31-0-lts", "apk fix linux-lts", "", "mkinitfs 6.6.31-0-lts"},
	{alpineOS, "6.6.31-0-virt", "apk fix linux-virt", "", "mkinitfs 6.6.31-0-virt"},
	{archOS, "6.9.1-arch1-1", "pacman -S --noconfirm linux", "", "mkinitcpio -P"},
	{archOS, "6.6.30-1-lts", "pacman -S --noconfirm linux-lts", "", "mkinitcpio -P"},
	{stranger, "6.6.30", "", "", ""},
}

func TestKernelCommands(t *testing.T) {
	for _, test := range kernels {
		t.Run(test.distribution.Name+" "+test.release, func(t *testing.T) {
			join := func(steps []change.Step) string { return strings.Join(change.Render(steps, ""), " && ") }
			if got := join(test.distribution.ReinstallKernel(test.release)); got != test.kernel {
				t.Errorf("kernel:\n got %s\nwant %s", got, test.kernel)
			}
			if got := join(test.distribution.ReinstallExtraModules(test.release)); got != test.extra {
				t.Errorf("extra modules:\n got %s\nwant %s", got, test.extra)
			}
			if got := test.distribution.RebuildInitramfs(test.release); got != test.initramfs {
				t.Errorf("initramfs:\n got %s\nwant %s", got, test.initramfs)
			}
		})
	}
}
