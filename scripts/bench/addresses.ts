/** The addresses of a bench. Networks 1 and 2 are two nodes, each with its own cluster; both share one client and one host of pods. */

export const clusterCIDR = '10.128.0.0/9';

export function nodeAddress(network: 1 | 2): string {
  return `192.168.${network}.1`;
}

export function clientAddress(network: 1 | 2): string {
  return `192.168.${network}.2`;
}

/** The node's address on the link to its pods. */
export function podGateway(network: 1 | 2): string {
  return `10.255.${network}.1`;
}

/** The pods that exist and answer. */
export function realPods(network: 1 | 2): [string, string] {
  return [`10.255.${network}.2`, `10.255.${network}.3`];
}

/** A pod that appears only in objects and rules. `n` is below 8 million. */
export function otherPod(n: number): string {
  return `10.${128 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}`;
}

/** Returns every address of a /16 once, in a scattered order, as an API server allocates them. */
function scattered(prefix: string, i: number): string {
  const n = (i * 40_503 + 1) & 0xffff;
  return `${prefix}.${n >> 8}.${n & 255}`;
}

export const vipNetworks = (network: 1 | 2): readonly string[] => [
  `10.${95 + network}.0.0/16`,
  `172.${19 + network}.0.0/16`,
];

export function clusterIP(network: 1 | 2, i: number): string {
  return scattered(`10.${95 + network}`, i);
}

export function loadBalancerIP(network: 1 | 2, i: number): string {
  return scattered(`172.${19 + network}`, i);
}

/** The cluster IP of the moving Service. The numbers of the other Services stay below 65,000. */
export function movingIP(network: 1 | 2): string {
  return clusterIP(network, 65_500);
}

/** `i` is below 2,768, the size of the default range. */
export function nodePort(i: number): number {
  return 30_000 + i;
}
