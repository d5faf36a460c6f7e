/** The transport protocols of Services' ports: Kubernetes' names, the tools' names and IANA's numbers. */
export type Protocol = 'TCP' | 'UDP' | 'SCTP';
/** The name that the kernel's tools use. */
export type ProtocolName = 'tcp' | 'udp' | 'sctp';

export const protocolNumbers: Readonly<Record<Protocol, number>> = { TCP: 6, UDP: 17, SCTP: 132 };

const names: Readonly<Record<Protocol, ProtocolName>> = { TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' };
const namesOfNumbers: ReadonlyMap<number, ProtocolName> = new Map([
  [protocolNumbers.TCP, 'tcp'],
  [protocolNumbers.UDP, 'udp'],
  [protocolNumbers.SCTP, 'sctp'],
]);

export function protocolName(protocol: Protocol): ProtocolName {
  return names[protocol];
}

/** Returns undefined for protocols that a Service cannot have. */
export function protocolNameOf(number: number): ProtocolName | undefined {
  return namesOfNumbers.get(number);
}
