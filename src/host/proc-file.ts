/** Files of /proc that the kernel makes as they are read. */
import { closeSync, openSync, readSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';

/** Such files come a page a call, and a long one takes many: a turn of the event loop for each would take most of the time. */
const sliceMs = 5;
const pieceBytes = 64 * 1024;

/**
 * Tells the file's text (ASCII) in pieces that end anywhere. The event loop has its turn every 5 ms, and with the page in hand.
 * Throws what open and read throw, and what onPiece throws.
 */
export async function readProcFile(path: string, onPiece: (piece: string) => void): Promise<void> {
  const file = openSync(path, 'r');
  try {
    const piece = Buffer.alloc(pieceBytes);
    for (let sliceStart = performance.now(); ; ) {
      const length = readSync(file, piece);
      if (length === 0) return;
      onPiece(piece.toString('latin1', 0, length));
      if (performance.now() - sliceStart < sliceMs) continue;
      await setImmediate();
      sliceStart = performance.now();
    }
  } finally {
    closeSync(file);
  }
}
