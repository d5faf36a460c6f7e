/** Checks which other programs on this node do a service proxy's work. */
import type { Process } from '../../host/processes';
import { fail, type Finding, ok, warn } from '../../machine/finding';

const check = 'other proxies';

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** The value of a flag of the form --flag=value, or ''. */
function flagValue(args: readonly string[], flag: string): string {
  return args.find((arg) => arg.startsWith(`--${flag}=`))?.slice(flag.length + 3) ?? '';
}

/** Returns what a process means for a service proxy that is about to start, or undefined where it means nothing. */
function judge({ pid, args }: Process): Finding | undefined {
  // k3s puts its whole command line into its name.
  const words = args.join(' ').split(' ');
  const [first = '', second = ''] = words.map(baseName);
  const who = (name: string): string => `${name} runs here (pid ${pid})`;
  // Under either name: a script that Node runs.
  if (first === 'node' && /^(vipwire(\.cjs)?|kube-proxy)$/.test(second) && !words.includes('preflight'))
    return warn(check, who('vipwire'), 'stop it before another one starts');
  if (first === 'kube-proxy' || (first === 'hyperkube' && /proxy$/.test(second)))
    return warn(check, who('kube-proxy'), 'stop it before vipwire starts; its rules may stay, and are taken over');
  if ((first === 'k3s' || first === 'rke2') && /^(server|agent)$/.test(second)) {
    if (words.includes('--disable-kube-proxy') || first === 'rke2') return undefined;
    return warn(
      check,
      `${who(first)} with a kube-proxy inside, unless its configuration says otherwise`,
      'start it with --disable-kube-proxy',
    );
  }
  if (first === 'kubelite')
    return warn(
      check,
      `${who(first)} with a kube-proxy inside`,
      'turn that off (MicroK8s: args/kubelite, --start-proxy)',
    );
  if (first === 'kube-router') {
    if (flagValue(words, 'run-service-proxy') === 'false') return undefined;
    return fail(check, `${who(first)} as a service proxy`, 'start it with --run-service-proxy=false');
  }
  if (first === 'cilium-agent') {
    const replaces = flagValue(words, 'kube-proxy-replacement');
    if (/^(true|strict)$/.test(replaces))
      return fail(check, `${who(first)} instead of kube-proxy`, 'set kube-proxy-replacement: "false"');
    return replaces === 'false'
      ? undefined
      : warn(check, who(first), 'make sure that its kube-proxy-replacement is "false"');
  }
  if (first === 'antrea-agent') return warn(check, who(first), 'make sure that its antreaProxy.proxyAll is false');
  if (first === 'kpng') return fail(check, who(first), 'stop it before vipwire starts');
  return undefined;
}

export function checkProcesses(processes: readonly Process[]): Finding[] {
  const found = processes.flatMap((process) => judge(process) ?? []);
  if (found.length > 0) return found;
  // In a Pod without hostPID it does not see the node's processes.
  const sees = processes.some(({ pid }) => pid === 1) && processes.length > 20;
  return [ok(check, sees ? 'none' : `none among the ${processes.length} processes that can be seen from here`)];
}
