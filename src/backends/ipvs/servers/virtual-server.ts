/**
 * Virtual servers as text, in ipvsadm's words. Desired and observed are compared as strings, one string for each virtual server, however
 * many real servers it has.
 *
 *   key    TCP 10.96.0.10:80        SCTP [fd00::a]:80        FWM 4097 (by packet mark: externalTrafficPolicy Local, clients on this node)
 *   text   -s wrr -p 10800          options: `-s SCHEDULER`, `-p SECONDS` with affinity, `-b FLAGS` of sh and mh
 *          10.244.1.2:8080 1        one line for each real server with its weight, sorted; forwarding is always masquerading
 *          10.244.2.2:8080 1
 */
export type Destination = string;

export interface ServerDestination {
  readonly server: string;
  readonly destination: Destination;
}

export interface DestinationConnections {
  readonly destination: Destination;
  /** Active and inactive ones. */
  readonly connections: number;
}

/** The virtual servers of one family and those by mark of both, whoever made them. */
export interface SeenServers {
  /** Key -> text. */
  readonly servers: ReadonlyMap<string, string>;
  /** Destinations of weight 0. */
  readonly resting: readonly ServerDestination[];
}

/** The smallest writes: each is one netlink message, or one line of `ipvsadm --restore`. */
export type ServerWrite =
  | { readonly op: 'add-server' | 'edit-server'; readonly server: string; readonly options: string }
  | { readonly op: 'delete-server'; readonly server: string }
  | {
      readonly op: 'add-destination' | 'edit-destination';
      readonly server: string;
      /** `address:port`. */
      readonly destination: Destination;
      readonly weight: number;
    }
  | { readonly op: 'delete-destination'; readonly server: string; readonly destination: Destination };
