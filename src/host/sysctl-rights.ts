/** Finds out which right is missing where a kernel setting cannot be written: proc_sysctl.c checks other rights than files do. */
import { stat } from 'node:fs/promises';
import { askCapabilities, capabilities } from './processes';
import { fileOf, type SysctlError } from './sysctl';

/** Returns for example `EROFS: /proc/sys is mounted read-only`, or `EACCES: CAP_SYS_RESOURCE is missing`. */
export async function explainSysctl({ sysctl, kind, code }: SysctlError): Promise<string> {
  if (code === '' || kind === 'missing') return kind;
  if (kind === 'refused') return `${code}: the kernel does not take this value`;
  if (kind === 'read-only') return `${code}: ${mountOf(sysctl)} is mounted read-only`;
  return `${code}: ${await findMissing(sysctl, code)}`;
}

function mountOf(sysctl: string): string {
  return /^\/sys\//.test(sysctl) ? '/sys' : '/proc/sys';
}

const firstNamespace = 'only the first network namespace of the machine may set it (hostNetwork: true)';

async function findMissing(sysctl: string, code: string): Promise<string> {
  const has = await askCapabilities();
  const lacks = (bit: number): boolean => has.kind === 'found' && (has.value & (1n << BigInt(bit))) === 0n;
  const isOfNetwork = sysctl.startsWith('net/');
  if (code === 'ENOTSUP') return firstNamespace;
  if (sysctl.endsWith('/oom_score_adj') && lacks(capabilities.sysResource)) return 'CAP_SYS_RESOURCE is missing';
  const isWritable = await stat(fileOf(sysctl)).then(
    ({ mode }) => (mode & 0o222) !== 0,
    () => true,
  );
  if (!isWritable) return isOfNetwork ? firstNamespace : 'nobody may set it';
  if (isOfNetwork && lacks(capabilities.netAdmin)) return 'CAP_NET_ADMIN is missing';
  if (process.geteuid?.() !== 0 && lacks(capabilities.dacOverride)) return 'root, or CAP_DAC_OVERRIDE, is missing';
  return 'AppArmor, SELinux or a user namespace forbids it: only a privileged container may';
}
