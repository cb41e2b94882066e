(* From a certificate tree that the checker accepts to the property itself:
   decodes the binary32 weights, rounds the boxes outwards, makes the rows. *)
Require Import ZArith Reals List Lia Lra Bool.
From Flocq Require Import Core.Core IEEE754.Binary IEEE754.Bits.
From Bignums Require Import BigZ.
From Ax Require Network Tree Big.
Import ListNotations.
Local Open Scope Z_scope.

Notation word := PrimInt63.int.
Notation word_Z := Uint63.to_Z.

(* ---- Weights: the integer m with weight w = m / 2^s, if there is one. ---- *)
Definition exact (s : Z) (w : word) : option Z :=
  match binary_float_of_bits_aux 23 8 (word_Z w) with
  | F754_zero _ => Some 0
  | F754_finite n m e =>
      if 0 <=? e + s then Some (cond_Zopp n (Zpos m) * 2 ^ (e + s)) else None
  | _ => None
  end.
Definition good s w := match exact s w with Some _ => true | None => false end.
Definition dec s w := match exact s w with Some m => m | None => 0 end.

Lemma dec_ok s w : 0 <= s -> good s w = true ->
  (Network.weight w * IZR (2 ^ s) = IZR (dec s w))%R.
Proof.
  intros Hs. unfold good, dec, exact, Network.weight, b32_of_bits.
  unfold binary_float_of_bits. rewrite B2R_FF2B.
  change (23 + 1)%Z with 24%Z.
  destruct (binary_float_of_bits_aux 23 8 (word_Z w)) as [n|n|n m|n m e];
    try discriminate; simpl.
  - intros _. ring.
  - destruct (Z.leb_spec 0 (e + s)); [|discriminate]. intros _.
    unfold F2R; simpl Fnum; simpl Fexp. rewrite mult_IZR, Rmult_assoc. f_equal.
    rewrite (IZR_Zpower radix2) by lia.
    change (2 ^ s) with (Zpower radix2 s).
    rewrite (IZR_Zpower radix2) by lia.
    rewrite <- bpow_plus. reflexivity.
Qed.

Definition goodn s (n : Network.neuron) := good s (fst n) && forallb (good s) (snd n).
Definition decn s (n : Network.neuron) : Tree.neuron := (dec s (fst n), map (dec s) (snd n)).
Definition decl s := map (decn s).

Section Sound.
Variables s p : Z.
Hypothesis s0 : 0 <= s.
Hypothesis p0 : 0 <= p <= 64.
Notation SR := (IZR (2 ^ s)).
Lemma SR0 : (0 < SR)%R. Proof. apply IZR_lt. apply Z.pow_pos_nonneg; lia. Qed.

Lemma dot_ok ws x : forallb (good s) ws = true ->
  (Network.dot ws x * SR = Tree.dotR (map (dec s) ws) x)%R.
Proof.
  revert x; induction ws as [|w ws IH]; intros [|a x] H; simpl in *; try ring.
  apply andb_true_iff in H as [H1 H2]. rewrite <- (IH _ H2), <- (dec_ok s w) by auto. ring.
Qed.

Lemma affine_ok l x : forallb (goodn s) l = true ->
  Network.affine l x = Tree.affine s (decl s l) x.
Proof.
  assert (P := SR0).
  unfold Network.affine, Tree.affine, decl. induction l as [|n l IH]; simpl; auto.
  intros H. apply andb_true_iff in H as [H1 H2]. f_equal; auto.
  apply andb_true_iff in H1 as [A B]. unfold Tree.preact, Tree.SZ. simpl.
  rewrite <- (dot_ok _ x B), <- (dec_ok s _ s0 A). field. lra.
Qed.

Definition step x l := map Network.relu (Network.affine l x).
Lemma network_snoc ls : forall l x,
  Network.network (ls ++ [l]) x = Network.affine l (fold_left step ls x).
Proof.
  induction ls as [|a ls IH]; intros l x; auto. simpl app.
  simpl fold_left. rewrite <- IH. simpl. destruct ls; reflexivity.
Qed.

Lemma evalr_ok hid x : forallb (forallb (goodn s)) hid = true ->
  fold_left step (rev hid) x = Tree.evalr s (map (decl s) hid) x.
Proof.
  induction hid as [|l hid IH]; simpl; auto. intros H.
  apply andb_true_iff in H as [H1 H2]. rewrite fold_left_app. simpl.
  rewrite <- (IH H2). unfold step at 1. rewrite affine_ok by auto. reflexivity.
Qed.

(* ---- Boxes and rows ---- *)
Definition inner (d : Z * Z) : Z * Z :=
  (Z.shiftr (fst d) (64 - p), - Z.shiftr (- snd d) (64 - p)).

Lemma shiftr_le v : (IZR (Z.shiftr v (64 - p)) <= IZR v / 2 ^ 64 * IZR (2 ^ p))%R.
Proof.
  assert (A := Tree.fl_le (64 - p) v ltac:(lia)). unfold Tree.fl in A.
  assert (Q : (0 < IZR (2 ^ (64 - p)))%R) by (apply IZR_lt, Z.pow_pos_nonneg; lia).
  assert (E : (2 ^ 64 = IZR (2 ^ (64 - p)) * IZR (2 ^ p))%R).
  { rewrite <- mult_IZR, <- Z.pow_add_r by lia.
    replace (64 - p + p) with 64 by lia. rewrite pow_IZR. reflexivity. }
  assert (P : (0 < IZR (2 ^ p))%R) by (apply IZR_lt, Z.pow_pos_nonneg; lia).
  rewrite E. apply Rmult_le_reg_r with (IZR (2 ^ (64 - p))); auto.
  eapply Rle_trans; [exact A|]. right. field. split; lra.
Qed.

Lemma box_ok b x : Network.in_box b x -> Forall2 (Tree.inb p) (map inner b) x.
Proof.
  assert (P : (0 < IZR (2 ^ p))%R) by (apply IZR_lt, Z.pow_pos_nonneg; lia).
  unfold Network.in_box. induction 1 as [|d a b x [A B] F IH]; cbn [map]; constructor; auto.
  unfold Tree.inb, inner, Tree.DZ; cbn [fst snd]. rewrite opp_IZR.
  assert (L := shiftr_le (fst d)). assert (U := shiftr_le (- snd d)).
  rewrite opp_IZR in U.
  replace (- IZR (snd d) / 2 ^ 64)%R with (- (IZR (snd d) / 2 ^ 64))%R in U by (unfold Rdiv; ring).
  set (m := (IZR (fst d) / 2 ^ 64)%R) in *. set (n := (IZR (snd d) / 2 ^ 64)%R) in *.
  clearbody m n.
  apply Rmult_le_compat_r with (r := IZR (2 ^ p)) in A; [|lra].
  apply Rmult_le_compat_r with (r := IZR (2 ^ p)) in B; [|lra].
  split; lra.
Qed.

Definition goal (out : Tree.layer) (r : Network.row) : Tree.neuron :=
  let '(c, (m, k)) := r in
  let '(e, b) := Tree.wsum out (map (Z.mul (10 ^ k)) c) [] (- m * 2 ^ s) in (b, e).

Lemma sum_ok c y : Network.sum c y = Tree.dotR c y.
Proof. revert y; induction c; intros [|b y]; simpl; auto. Qed.

Lemma goal_ok out r x : 0 <= snd (snd r) ->
  (0 < Tree.preact s (goal out r) x)%R ->
  ~ Network.row_true (Tree.affine s out x) r.
Proof.
  assert (P := SR0). destruct r as [c [m k]]. simpl. intros K.
  destruct (Tree.wsum out (map (Z.mul (10 ^ k)) c) [] (- m * 2 ^ s)) as [e b] eqn:E.
  assert (W := Tree.wsum_ok s s0 out _ _ _ _ _ x E). simpl in W.
  unfold Tree.preact, Network.row_true, Network.value. cbn [fst snd].
  change (map (Z.mul (10 ^ k)) c) with (Tree.zmap (10 ^ k) c) in W.
  rewrite Tree.dotR_zmap, mult_IZR, opp_IZR in W. rewrite W. unfold Tree.SZ in *.
  assert (Y := sum_ok c (Tree.affine s out x)).
  set (y := Tree.dotR c (Tree.affine s out x)) in *. rewrite Y. clearbody y.
  assert (T : (0 < IZR (10 ^ k))%R) by (apply IZR_lt, Z.pow_pos_nonneg; lia).
  intros H1 H2.
  apply Rmult_le_compat_r with (r := IZR (10 ^ k)) in H2; [|lra].
  replace (IZR m / IZR (10 ^ k) * IZR (10 ^ k))%R with (IZR m) in H2 by (field; lra).
  replace ((SR * (IZR (10 ^ k) * y) + 0 + - IZR m * SR) / SR)%R
    with (IZR (10 ^ k) * y - IZR m)%R in H1 by (field; lra).
  lra.
Qed.
End Sound.

(* ---- Sizes ---- *)
Fixpoint shapedb (n : nat) (ls : list Network.layer) : bool :=
  match ls with
  | [] => true
  | l :: ls' => forallb (fun m => Nat.eqb (length (snd m)) n) l && shapedb (length l) ls'
  end.
Definition rowb outs (r : Network.row) := Nat.eqb (length (fst r)) outs && (0 <=? snd (snd r)).
Definition groupb ins outs (g : Network.box * list (list Network.row)) :=
  Nat.eqb (length (fst g)) ins && forallb (forallb (rowb outs)) (snd g).

Lemma shapedb_ok ls : forall n, shapedb n ls = true -> Network.shaped n ls.
Proof.
  induction ls as [|l ls IH]; simpl; auto. intros n H.
  apply andb_true_iff in H as [A B]. split; auto.
  rewrite forallb_forall in A. apply Forall_forall. intros m I.
  apply Nat.eqb_eq; auto.
Qed.

(* ---- The checker, on big numbers ---- *)
Definition bign (n : Tree.neuron) := (BigZ.of_Z (fst n), map BigZ.of_Z (snd n)).
Definition bigb (b : Z * Z) := (BigZ.of_Z (fst b), BigZ.of_Z (snd b)).

Lemma of_Z_id v : map BigZ.to_Z (map BigZ.of_Z v) = v.
Proof. induction v; simpl; f_equal; auto. apply BigZ.spec_of_Z. Qed.
Lemma bign_id n : Big.pn (bign n) = n.
Proof.
  destruct n. unfold Big.pn, bign, Big.pv. simpl. rewrite of_Z_id.
  f_equal. apply BigZ.spec_of_Z.
Qed.
Lemma map_id2 {A B} (f : A -> B) (g : B -> A) l :
  (forall a, g (f a) = a) -> map g (map f l) = l.
Proof. intros E. induction l; simpl; f_equal; auto. Qed.

Fixpoint all2 {A B} (f : A -> B -> bool) (l : list A) (m : list B) : bool :=
  match l, m with
  | [], [] => true
  | a :: l', b :: m' => f a b && all2 f l' m'
  | _, _ => false
  end.

Definition accepts (s : Z) (net : list Network.layer) (prop : Network.property)
  (ins outs : nat) (certificate : list (Z * Big.treeB)) : bool :=
  (0 <=? s) && forallb (forallb (goodn s)) net && shapedb ins net &&
  Nat.eqb (length (last net [])) outs && forallb (groupb ins outs) prop &&
  match rev net with
  | [] => false
  | out :: hid =>
      let out := decl s out in
      let hid := map (map bign) (map (decl s) hid) in
      let big := BigZ.of_Z s in
      all2 (fun g pt =>
        let p := fst pt in
        (0 <=? p) && (p <=? 64) &&
        Big.verifyB big (BigZ.of_Z p) (map bigb (map (inner p) (fst g))) hid
          (map (map bign) (map (map (goal s out)) (snd g))) (snd pt))
        prop certificate
  end.

Lemma all2_forall {A B} (f : A -> B -> bool) l : forall m, all2 f l m = true ->
  Forall (fun a => exists b, f a b = true) l.
Proof.
  induction l as [|a l IH]; intros [|b m] H; simpl in H; try discriminate; constructor.
  - apply andb_true_iff in H as [H _]. eauto.
  - apply andb_true_iff in H as [_ H]. eauto.
Qed.

Theorem certified s net prop ins outs certificate :
  accepts s net prop ins outs certificate = true ->
  Network.well_formed net prop ins outs /\
  forall x, ~ Network.counterexample net prop x.
Proof.
  unfold accepts. intros H.
  destruct (rev net) as [|out hid] eqn:R.
  { rewrite andb_false_r in H; discriminate. }
  repeat rewrite andb_true_iff in H.
  destruct H as [[[[[S G] Sh] L] Pr] V]. apply Z.leb_le in S.
  rewrite forallb_forall in Pr.
  assert (Rows : forall g, In g prop -> length (fst g) = ins /\
    forall rows, In rows (snd g) -> forall r, In r rows ->
    length (fst r) = outs /\ 0 <= snd (snd r)).
  { intros g I. specialize (Pr g I). unfold groupb in Pr.
    apply andb_true_iff in Pr as [A B]. split; [apply Nat.eqb_eq; auto|].
    rewrite forallb_forall in B. intros rows J r K. specialize (B rows J).
    rewrite forallb_forall in B. specialize (B r K). unfold rowb in B.
    apply andb_true_iff in B as [C D]. split; [apply Nat.eqb_eq|apply Z.leb_le]; auto. }
  split.
  - split; [apply shapedb_ok; auto|]. split; [apply Nat.eqb_eq; auto|].
    apply Forall_forall. intros g I. destruct (Rows g I) as [A B].
    repeat split; auto; repeat (apply Forall_forall; intros); apply (B x); auto.
  - intros x C. unfold Network.counterexample in C.
    apply Exists_exists in C as (g & I & Hx & U).
    apply all2_forall in V. rewrite Forall_forall in V.
    destruct (V g I) as [[p t] W]. simpl in W.
    repeat rewrite andb_true_iff in W. destruct W as [[P1 P2] W].
    apply Z.leb_le in P1. apply Z.leb_le in P2.
    assert (Q : 0 <= p <= 64) by lia.
    assert (N : net = rev hid ++ [out]) by (rewrite <- (rev_involutive net), R; reflexivity).
    assert (GG : forallb (goodn s) out = true /\ forallb (forallb (goodn s)) hid = true).
    { rewrite N, forallb_app in G. apply andb_true_iff in G as [G1 G2].
      simpl in G2. rewrite andb_true_r in G2. split; auto.
      rewrite forallb_forall in *. intros l J. apply G1. apply -> in_rev. exact J. }
    destruct GG as [G1 G2].
    apply Big.verifyB_sound with (x := x) in W;
      try (rewrite BigZ.spec_of_Z; lia).
    + rewrite !BigZ.spec_of_Z in W.
      replace (map Big.pl (map (map bign) (map (decl s) hid))) with (map (decl s) hid) in W
        by (symmetry; apply map_id2; intros; apply map_id2; apply bign_id).
      unfold Big.pc in W.
      rewrite (map_id2 (map bign) (map Big.pn)) in W
        by (intros; apply map_id2; apply bign_id).
      rewrite N, network_snoc, (evalr_ok s), (affine_ok s) in U by auto.
      unfold Network.unsafe in U. apply Exists_exists in U as (rows & J & F).
      rewrite Forall_forall in W.
      destruct (W (map (goal s (decl s out)) rows)) as (n & K & D).
      { apply in_map; auto. }
      apply in_map_iff in K as (r & <- & K).
      rewrite Forall_forall in F. specialize (F r K).
      destruct (Rows g I) as [_ B].
      revert F. apply goal_ok; auto. apply (B rows J r K).
    + rewrite !BigZ.spec_of_Z.
      rewrite (map_id2 bigb Big.pp);
        [apply box_ok; auto|].
      intros [a b]. unfold bigb, Big.pp. simpl. rewrite !BigZ.spec_of_Z. auto.
Qed.
