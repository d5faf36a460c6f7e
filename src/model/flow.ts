/** One UDP flow of the connection tracker, without its client's address and port. Addresses are canonical. */
export interface UdpFlow {
  /** The address that the client sends to, for example a VIP. */
  readonly dst: string;
  readonly dstPort: number;
  /** The address that answers: an endpoint, or dst itself if the flow was not translated. */
  readonly replySrc: string;
  readonly replySrcPort: number;
}

/** Selects the UDP flows to delete. */
export interface FlowFilter {
  /** Flows to other ports are not looked at. If there are only a few ports, the kernel filters by them. */
  readonly ports: ReadonlySet<number>;
  /** Must not throw. The answer holds for every client of the VIP. */
  readonly isStale: (flow: UdpFlow) => boolean;
}
