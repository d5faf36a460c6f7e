/** `vipwire preflight`: checks whether this node is ready for the daemon with this configuration. It changes nothing permanently. */
import type { ProxyConfiguration } from '../config/configuration';
import { effectiveConfiguration } from '../config/effective';
import { chooseNodeName } from '../config/node-name';
import { readTextFile } from '../host/files';
import { hostName } from '../host/host-name';
import { readProcesses } from '../host/processes';
import { readOpenSockets } from '../host/sockets';
import { askSysctl } from '../host/sysctl';
import { ClusterStore } from '../model/cluster-store';
import { UserError } from '../model/user-error';
import { modes } from '../modes/modes';
import { createLogger } from '../telemetry/logger';
import type { PreflightInvocation } from './invocation';
import { listOnce, openApiClient, openKubernetes } from '../sources/open-source';
import { checkApi } from '../inspect/preflight/check-api';
import { checkRights, checkSettings, checkTools } from '../inspect/preflight/check-machine';
import { checkPorts, parsePortRanges } from '../inspect/preflight/check-ports';
import { checkProcesses } from '../inspect/preflight/check-processes';
import { cannotTell, fail, type Finding, ok, warn } from '../machine/finding';
import type { IptablesVariant } from '../xtables/variant';
import { hasFailed, hasUnknown, printJson, printTable } from '../inspect/preflight/report';

/** Returns 1 where a check failed or could not be made. */
export async function preflight({ flags, iptablesVariant, output }: PreflightInvocation): Promise<number> {
  const { configuration, warnings } = await effectiveConfiguration(flags, readTextFile);
  const nodeName = chooseNodeName(configuration.hostnameOverride, hostName());
  const { mode } = configuration;
  const findings: Finding[] = [
    await checkKernel(),
    ...warnings.map((warning) => warn('configuration', warning, '')),
    await checkRights(),
  ];
  const { findings: ofMode, families } = await modes[mode].checkMachine(configuration, iptablesVariant);
  findings.push(...ofMode, await checkTools(modes[mode]), ...(await checkSettings(configuration, families)));
  const { processes, unread } = await readProcesses();
  const others = checkProcesses(processes);
  if (unread !== undefined) findings.push(cannotTell('other proxies', unread.reason, ''));
  findings.push(...others, ...(await checkCluster(configuration, iptablesVariant, nodeName, others)));
  process.stdout.write(
    output === 'json'
      ? printJson(mode, nodeName, findings)
      : printTable(`vipwire preflight: mode ${mode}, node ${nodeName}`, findings),
  );
  return hasFailed(findings) || hasUnknown(findings) ? 1 : 0;
}

async function checkKernel(): Promise<Finding> {
  const release = await askSysctl('kernel/osrelease');
  if (release.kind === 'found') return ok('kernel', release.value);
  return cannotTell('kernel', release.kind === 'absent' ? 'there is no kernel/osrelease' : release.reason, '');
}

async function checkCluster(
  configuration: ProxyConfiguration,
  iptablesVariant: IptablesVariant,
  nodeName: string,
  others: readonly Finding[],
): Promise<Finding[]> {
  const mode = modes[configuration.mode];
  const client = openApiClient(configuration);
  const findings = await checkApi(client, modes[configuration.mode]).finally(() => client.close());
  if (hasFailed(findings)) return [...findings, warn('NodePorts', 'not checked: there is no list of Services', '')];
  const store = new ClusterStore(Date.now());
  const log = createLogger({ verbosity: 0, format: 'json' }, () => undefined);
  try {
    await listOnce(openKubernetes(configuration, nodeName, log), store, log);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return [...findings, fail('API server', error.message, '')];
  }
  const services = [...store.services.values()];
  const [ephemeral, reserved] = await Promise.all(
    (['ip_local_port_range', 'ip_local_reserved_ports'] as const).map((name) => askSysctl(`net/ipv4/${name}`)),
  );
  const { sockets, unread } = await readOpenSockets();
  const unknowns = [ephemeral, reserved, unread].flatMap((it) => (it?.kind === 'unknown' ? it.reason : []));
  return [
    ...findings,
    checkNode(store, nodeName),
    ...checkPorts({
      services,
      sockets,
      ephemeral: parsePortRanges(ephemeral?.kind === 'found' ? ephemeral.value : ''),
      reserved: parsePortRanges(reserved?.kind === 'found' ? reserved.value : ''),
      isProxied: others.some(({ level }) => level !== 'ok'),
    }),
    ...unknowns.map((reason) => cannotTell('NodePorts', reason, '')),
    ...(await mode.checkServices({
      ...{ services, nodeName, configuration, iptablesVariant, mode },
      node: store.nodes.get(nodeName),
    })),
  ];
}

function checkNode({ nodes }: ClusterStore, nodeName: string): Finding {
  const node = nodes.get(nodeName);
  if (node === undefined)
    return warn('Node', `there is no Node ${nodeName}`, "give the Node's name: --hostname-override");
  const zone = node.zone === '' ? '' : `, zone ${node.zone}`;
  return ok('Node', `${nodeName}: ${node.addresses.join(', ') || 'no address'}${zone}`);
}
