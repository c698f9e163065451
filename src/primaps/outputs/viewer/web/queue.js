/** Few things at once; what was asked for last comes first: that is what somebody looks at. */

/** @typedef {{start: () => Promise<void>, low: boolean, key?: string}} Waiting */

export class Queue {
  /** @param {number} width how many run at once */
  constructor(width) {
    this.width = width;
    this.running = 0;
    /** @type {Waiting[]} */
    this.waiting = [];
  }

  /**
   * Run a task when it is its turn.
   * @template T
   * @param {() => Promise<T>} task
   * @param {{low?: boolean, key?: string}} [options] low: only when nothing else waits
   * @returns {Promise<T>} what it gives
   */
  run(task, { low = false, key } = {}) {
    return new Promise((resolve, reject) => {
      const start = () => task().then(resolve, reject);
      this.waiting.push({ start, low, key });
      this.next();
    });
  }

  /**
   * What waits under a key is wanted now.
   * @param {string} key
   */
  hurry(key) {
    for (const task of this.waiting) if (task.key === key) task.low = false;
    this.next();
  }

  next() {
    // Work for later leaves one place free, so that it never holds up what is looked at.
    while (this.waiting.length && this.running < this.width) {
      const place = this.pick();
      if (this.waiting[place].low && this.running >= Math.max(1, this.width - 1)) return;
      const [task] = this.waiting.splice(place, 1);
      this.running += 1;
      void task.start().finally(() => {
        this.running -= 1;
        this.next();
      });
    }
  }

  /** The newest that somebody waits for; else the oldest of those for later. */
  pick() {
    for (let place = this.waiting.length - 1; place >= 0; place -= 1)
      if (!this.waiting[place].low) return place;
    return 0;
  }
}
