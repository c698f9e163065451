/* A worker that runs in a hidden frame, for pages that are opened from disk: browsers start no real
 * worker there, and the search runs in one. Pages that a server sends keep the browser's own. */

if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.frame.title = "Search";
      document.body.append(this.frame);
      const inside = this.frame.contentWindow;
      inside.postMessage = (data) => this.tell(this, data);
      inside.importScripts = (...addresses) => Promise.all(addresses.map((one) => this.load(one)));
      this.ready = this.load(address);
    }

    /* Run a script in the frame. */
    load(address) {
      const { document: inside } = this.frame.contentWindow;
      return new Promise((done, failed) => {
        const script = inside.createElement("script");
        script.addEventListener("load", done);
        script.addEventListener("error", () => failed(new Error(`Expected a script: ${address}`)));
        script.src = new URL(address, location.href).href;
        inside.body.append(script);
      });
    }

    tell(target, data) {
      target.dispatchEvent(new MessageEvent("message", { data }));
    }

    postMessage(data) {
      this.ready.then(() => this.tell(this.frame.contentWindow, data));
    }

    terminate() {
      this.frame.remove();
    }
  };
}
