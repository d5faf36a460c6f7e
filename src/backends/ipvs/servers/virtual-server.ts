/**
 * Virtual servers as text, in ipvsadm's words: desired and observed compare as strings, one a virtual server, however many real
 * servers it has.
 *
 *   key    TCP 10.96.0.10:80        SCTP [fd00::a]:80        FWM 4097 (by the packet's mark: externalTrafficPolicy Local from inside)
 *   text   -s wrr -p 10800          options: `-s SCHEDULER`, `-p SECONDS` with affinity, `-b FLAGS` of sh and mh
 *          10.244.1.2:8080 1        a real server and its weight a line, sorted; forwarding is always masquerading
 *          10.244.2.2:8080 1
 */
export type Destination = string;

/** The smallest writes there are: a netlink message, or a line of `ipvsadm --restore`, each. */
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
