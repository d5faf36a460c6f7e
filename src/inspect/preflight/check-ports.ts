/** Ports of the cluster's that something on this node uses too. */
import { joinHostPort } from '../../model/address';
import type { OpenSocket } from '../../host/sockets';
import type { Service } from '../../model/cluster';
import { type Finding, ok, warn } from '../../machine/finding';
import { some } from './report';

/** Ports, first and last. */
export type PortRange = readonly [number, number];

/** `32768	60999`, or `30000-32767,8080`: ip_local_port_range and ip_local_reserved_ports. */
export function parsePortRanges(text: string): PortRange[] {
  const parts = /^\d+\s+\d+$/.test(text) ? [text.replace(/\s+/, '-')] : text.split(',');
  return parts.flatMap((part) => {
    const [first = Number.NaN, last = first] = part
      .split('-')
      .map((number) => (number === '' ? Number.NaN : Number(number)));
    return Number.isNaN(first) ? [] : [[first, last] as const];
  });
}

function within(port: number, ranges: readonly PortRange[]): boolean {
  return ranges.some(([first, last]) => port >= first && port <= last);
}

interface ClusterPort {
  readonly protocol: string;
  readonly port: number;
  /** `shop/web 30080/TCP`. */
  readonly text: string;
}

function portsOf(services: readonly Service[], isOfHealth: boolean): ClusterPort[] {
  return services
    .flatMap(({ namespace, name, ports, healthCheckNodePort }) => {
      const numbers = isOfHealth
        ? [{ protocol: 'TCP', port: healthCheckNodePort }]
        : ports.map(({ protocol, nodePort }) => ({ protocol, port: nodePort }));
      return numbers.map(({ protocol, port }) => ({
        protocol,
        port,
        text: `${namespace}/${name} ${port}/${protocol}`,
      }));
    })
    .filter(({ port }) => port > 0);
}

export interface PortFacts {
  readonly services: readonly Service[];
  readonly sockets: readonly OpenSocket[];
  readonly ephemeral: readonly PortRange[];
  readonly reserved: readonly PortRange[];
  /** Another proxy runs, and has the health ports. */
  readonly isProxied: boolean;
}

export function checkPorts(facts: PortFacts): Finding[] {
  const nodePorts = portsOf(facts.services, false);
  return [checkListeners(nodePorts, facts), checkEphemeral(nodePorts, facts), ...checkHealthPorts(facts)];
}

function holderOf({ protocol, port }: ClusterPort, sockets: readonly OpenSocket[]): OpenSocket | undefined {
  return sockets.find((socket) => socket.protocol === protocol && socket.port === port);
}

function checkListeners(nodePorts: readonly ClusterPort[], { sockets }: PortFacts): Finding {
  const taken = nodePorts.flatMap((nodePort) => {
    const socket = holderOf(nodePort, sockets);
    return socket === undefined ? [] : `${nodePort.text} (a socket on ${joinHostPort(socket.address, socket.port)})`;
  });
  if (taken.length === 0) return ok('NodePorts', `${nodePorts.length}, and no socket of this node on any of them`);
  return warn(
    'NodePorts',
    `also taken by sockets of this node: ${some(taken)}`,
    'nobody reaches those sockets from outside; `ss -ltunp` tells whose they are',
  );
}

function checkEphemeral(nodePorts: readonly ClusterPort[], { ephemeral, reserved }: PortFacts): Finding {
  const shown = ephemeral.map((range) => range.join('-')).join();
  const inside = nodePorts.filter(({ port }) => within(port, ephemeral) && !within(port, reserved));
  if (inside.length === 0) return ok('ephemeral ports', `${shown}, and no NodePort among them`);
  return warn(
    'ephemeral ports',
    `${shown} has NodePorts in it: ${some(inside.map(({ text }) => text))}`,
    "a connection of the node's own may use one first; keep them out: sysctl -w net.ipv4.ip_local_reserved_ports=30000-32767",
  );
}

function checkHealthPorts({ services, sockets, isProxied }: PortFacts): Finding[] {
  if (isProxied) return [];
  const taken = portsOf(services, true).filter((port) => holderOf(port, sockets) !== undefined);
  if (taken.length === 0) return [];
  return [
    warn(
      'health check ports',
      `taken: ${some(taken.map(({ text }) => text))}`,
      'load balancers would ask somebody else',
    ),
  ];
}
