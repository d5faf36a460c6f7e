/** One UDP flow as the connection tracker knows it, apart from its client. Addresses are canonical. */
export interface UdpFlow {
  /** Where the client sends to: a VIP, say. */
  readonly dst: string;
  readonly dstPort: number;
  /** Who answers: an endpoint, or dst itself where the flow was not translated. */
  readonly replySrc: string;
  readonly replySrcPort: number;
}

/** Which UDP flows are to go. The judgement must not throw, and holds for every client of the VIP. */
export interface FlowFilter {
  /** Flows to other ports are not judged. Where there are few, the kernel looks at the others for us. */
  readonly ports: ReadonlySet<number>;
  readonly isStale: (flow: UdpFlow) => boolean;
}
