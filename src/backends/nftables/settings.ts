export interface NftablesSettings {
  /** 1 << masqueradeBit. */
  readonly masqueradeMark: number;
}
