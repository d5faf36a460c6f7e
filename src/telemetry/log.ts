import type { Logger as PinoLogger } from 'pino';

/** Fields first, then the message, as pino. debug is kube-proxy's -v=4 and above, trace -v=6 and above. */
export type Logger = Pick<PinoLogger, 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'isLevelEnabled'>;
