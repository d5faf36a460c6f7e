/** How traffic of this node's pods is recognised: the detect-local mode, and the settings that the mode needs. */
import { formatCidr, parseCidr } from '../model/address';
import { suggest } from '../model/nearest-name';
import type { Checks } from './checks';
import type { DetectLocalMode, ProxyConfiguration } from './configuration';
import { interfaceProblem } from './texts';

/** One CIDR, or one per family. */
function completeClusterCidrs(checks: Checks): readonly string[] {
  const given = checks.value('clusterCIDR');
  // Spaces are not trimmed: kube-proxy refuses them, so a rollback to kube-proxy would fail.
  const texts = given === '' ? [] : given.split(',');
  const cidrs = texts.flatMap((text) => parseCidr(text) ?? []);
  if (cidrs.length < texts.length) {
    const bad = texts.filter((text) => parseCidr(text) === undefined);
    checks.problem('clusterCIDR', `"${bad.join('", "')}" is not a CIDR such as 10.244.0.0/16`);
  } else if (new Set(cidrs.map((cidr) => cidr.family)).size < cidrs.length) {
    checks.problem('clusterCIDR', `"${texts.join(',')}" has more than one CIDR of the same family`);
  }
  return cidrs.map(formatCidr);
}

const detectLocalModes: readonly DetectLocalMode[] = [
  'ClusterCIDR',
  'NodeCIDR',
  'BridgeInterface',
  'InterfaceNamePrefix',
];

function isDetectLocalMode(text: string): text is DetectLocalMode {
  return detectLocalModes.some((mode) => mode === text);
}

export function completeDetectLocal(
  checks: Checks,
): Pick<ProxyConfiguration, 'detectLocalMode' | 'clusterCIDRs' | 'bridgeInterface' | 'interfaceNamePrefix'> {
  const mode: string = checks.value('detectLocalMode');
  const bridgeInterface = checks.value('detectLocal.bridgeInterface');
  const interfaceNamePrefix = checks.value('detectLocal.interfaceNamePrefix');
  if (mode === 'BridgeInterface' && bridgeInterface === '') {
    checks.problem('detectLocal.bridgeInterface', `is needed with detectLocalMode ${mode}`);
  }
  if (mode === 'InterfaceNamePrefix' && interfaceNamePrefix === '') {
    checks.problem('detectLocal.interfaceNamePrefix', `is needed with detectLocalMode ${mode}`);
  }
  // Both are checked in every mode: they become part of a rule as soon as the mode changes.
  for (const path of ['detectLocal.bridgeInterface', 'detectLocal.interfaceNamePrefix'] as const) {
    const what = interfaceProblem(checks.value(path), path === 'detectLocal.interfaceNamePrefix');
    if (what !== undefined) checks.problem(path, what);
  }
  if (!isDetectLocalMode(mode)) {
    const hint = suggest(mode, detectLocalModes) || `: use ${detectLocalModes.join(', ')}`;
    checks.problem('detectLocalMode', `there is no mode "${mode}"${hint}`);
  }
  return {
    detectLocalMode: isDetectLocalMode(mode) ? mode : 'ClusterCIDR',
    clusterCIDRs: mode === 'ClusterCIDR' ? completeClusterCidrs(checks) : [],
    bridgeInterface,
    interfaceNamePrefix,
  };
}
