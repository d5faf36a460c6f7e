/**
 * Runs a command with the rights that manifests/ gives the daemon: /proc/sys, /sys and the root can be read, /run can be
 * written, and root is little more than its two capabilities.
 */
export const asInContainer: readonly string[] = [
  ...['unshare', '--mount', 'sh', '-ec'],
  `mount --bind /run /run; mount --bind /proc/sys /proc/sys
for path in /proc/sys /sys /; do mount -o remount,bind,ro $path; done
exec setpriv --no-new-privs --bounding-set=-all,+net_admin,+net_raw --inh-caps=-all "$@"`,
  'sh',
];
